"""The keyword ``out=`` of element-wise operations: the result is written into a tensor that is there already.

Nothing of this is recorded on the tape. A pending backward that needs the old values of ``out`` raises.
"""

from __future__ import annotations

from minidl._arrays import require_memory_of_its_own, write
from minidl._tensor import Tensor
from minidl.autograd import is_grad_enabled
from minidl.ops._elementwise import KINDS


def into(operation: str, out: Tensor | None, result: Tensor) -> Tensor:
    """``result`` itself, or ``out`` with the result's values in it.

    ``out`` may be one of the operands: the result was complete before anything is written.

    Raises:
        TypeError: out is no tensor.
        ValueError: out has another shape, or several of its elements lie in the same memory, or it must not
            be written to.
        RuntimeError: out lives on another device, its dtype cannot hold the result's values, or a gradient
            would be lost (an input or out requires one, outside of :class:`minidl.no_grad`).
    """
    if out is None:
        return result
    if not isinstance(out, Tensor):
        raise TypeError(f"{operation}: out must be a tensor, got {type(out).__name__}")
    if result.requires_grad or (out.requires_grad and is_grad_enabled()):
        raise RuntimeError(
            f"{operation}: what is written into out is not recorded, so neither an input nor out may require "
            "a gradient; leave out= away, or use minidl.no_grad()"
        )
    if out.device != result.device:
        raise RuntimeError(
            f"{operation}: out is on {out.device}, the result on {result.device}; give an out that is there, "
            f"or move the inputs with .to('{out.device}')"
        )
    if out.shape != result.shape:
        raise ValueError(f"{operation}: out has shape {out.shape}, the result {result.shape}")
    if KINDS[result.dtype.kind] > KINDS[out.dtype.kind]:  # the same or a later kind will do
        raise RuntimeError(f"{operation}: a result of {result.dtype} does not fit into out of {out.dtype}")
    require_memory_of_its_own(operation, "out", out.data)
    write(operation, out.data, result.data)
    out.mark_changed()
    return out
