"""The one source of random numbers for initialisation and dropout.

A counter-based generator (Philox 4x64, Salmon et al. 2011): the n-th number is a function of the seed and n alone, so its whole state is a
few integers, which checkpoints store as text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Made when first asked for: importing numpy.random would take a fifth of the time of `import minidl`.
_generator: np.random.Generator | None = None


def manual_seed(seed: int) -> None:
    """Start the random numbers of initialisation and dropout anew from ``seed`` (a non-negative integer).

    >>> import minidl
    >>> minidl.manual_seed(7); a = minidl.random.generator().random()
    >>> minidl.manual_seed(7); a == minidl.random.generator().random()
    True
    """
    global _generator
    _generator = np.random.Generator(np.random.Philox(seed))


def generator() -> np.random.Generator:
    """The process-wide generator; without :func:`manual_seed` it starts from the system's entropy."""
    global _generator
    if _generator is None:
        _generator = np.random.Generator(np.random.Philox())
    return _generator


def get_state() -> dict[str, Any]:
    """Where the generator stands, as JSON-able values: see :func:`set_state`."""
    return {key: _to_lists(value) for key, value in generator().bit_generator.state.items()}


def set_state(state: dict[str, Any]) -> None:
    """Go on exactly where :func:`get_state` was called.

    Raises:
        ValueError: the state is not one of a Philox generator.
    """
    try:
        arrays = {k: np.array(v, np.uint64) for k, v in state["state"].items()}
        generator().bit_generator.state = {**state, "state": arrays, "buffer": np.array(state["buffer"], np.uint64)}
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"set_state: not a state of the random generator ({error})") from error


def _to_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _to_lists(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
