"""The argument ``algorithm=`` of convolutions: which of the compiled algorithms is to run."""

from __future__ import annotations

from minidl import dispatch


def with_algorithm(operation: str, algorithm: str | None) -> dict[str, str]:
    """The option for the kernels: nothing where the planner is to choose.

    Raises:
        ValueError: the preferred backend has no algorithms to choose from.
    """
    if algorithm is None:
        return {}
    if dispatch.backend() == dispatch.REFERENCE:
        raise ValueError(
            f"{operation}: algorithm={algorithm!r} is for the compiled kernels, but backend "
            f"{dispatch.REFERENCE!r} is in use; leave it out, or minidl.use('numba')"
        )
    return {"algorithm": algorithm}
