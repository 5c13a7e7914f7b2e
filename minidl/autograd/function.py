"""An operation: its forward and, beside it, its backward."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np

from minidl import dispatch
from minidl._arrays import plain
from minidl._device import in_memory, place_of
from minidl._tensor import Tensor
from minidl.autograd import anomaly
from minidl.autograd.node import Node

_watcher: ContextVar[Callable[..., None] | None] = ContextVar("minidl_watcher", default=None)

#: Set while a function runs only to be run again: see :mod:`minidl.autograd.recompute`.
trial: ContextVar[Callable[[tuple[Any, ...]], Node] | None] = ContextVar("minidl_trial", default=None)


def is_of_a_trial(tensor: Tensor) -> bool:
    """Whether a tensor was made in a run that is only a trial: there is no way back from it."""
    stand_in = trial.get()
    return (
        stand_in is not None and tensor._node is not None and tensor._node is getattr(stand_in, "node", None)
    )


@contextlib.contextmanager
def watch(callback: Callable[..., None]) -> Iterator[None]:
    """Call ``callback(function, arrays, output, options)`` after every operation in this block."""
    token = _watcher.set(callback)
    try:
        yield
    finally:
        _watcher.reset(token)


class Function:
    """A differentiable operation: a forward and, beside it, its backward. Subclass it to add one.

    ``forward(ctx, *inputs, **options)`` takes arrays (numbers and ``None`` are passed as they are) and
    returns an array or a tuple of arrays. ``backward(ctx, *cotangents)`` returns one cotangent for each
    input, ``None`` where there is none.

    ``tensor_backward``, if there is one, is the same map on tensors, made of operations: it runs instead of
    ``backward`` under ``create_graph=True``, so that the gradient can itself be differentiated. There
    ``ctx.saved`` gives tensors, and those that were inputs or outputs are connected to the graph; *whatever
    else was saved counts as a constant*. A backward that uses only what arrays and tensors both understand
    serves as both:

    >>> import minidl
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved
    ...         return 3 * x**2 * g
    ...     tensor_backward = backward
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> y = Cube.apply(x)
    >>> (slope,) = minidl.autograd.grad(y, x, minidl.tensor([1.0, 10.0]), create_graph=True)
    >>> slope.numpy()
    array([  3., 120.], dtype=float32)
    >>> minidl.autograd.grad(slope.sum(), x)          # 6 x times 1 and 10
    (tensor([  6., 120.]),)
    """

    #: The output shares its memory with the first input, as that of a reshape: one changes with the other.
    is_view: ClassVar[bool] = False

    #: The backward on tensors, for second derivatives; None: ``create_graph=True`` raises and names the op.
    tensor_backward: ClassVar[Any] = None

    @staticmethod
    def forward(ctx: Node, *inputs: Any, **options: Any) -> Any:
        """Arrays in, array (or tuple of arrays) out."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Node, *cotangents: Any) -> Any:
        """Cotangents of the outputs in, cotangents of the inputs out."""
        raise NotImplementedError

    @staticmethod
    def flops(arrays: tuple[Any, ...], output: Any, **options: Any) -> int:
        """Operations of the forward's inner products, two for each term; element-wise work is not counted."""
        return 0

    @classmethod
    def operation(cls) -> str:
        """The name in error messages: that of the public function, which is the class's in snake case."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("_")

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> Any:
        """Run forward and record it if any input requires a gradient. Returns a Tensor or a tuple of them."""
        arrays = _distinct(tuple(x.data if isinstance(x, Tensor) else _plain(cls, x) for x in inputs))
        node = Node(cls, inputs, arrays)
        device = place_of(cls.operation, arrays)
        with np.errstate(all="ignore"):  # infinities and NaN travel silently, as in torch
            if device is None:
                result = cls.forward(node, *arrays, **options)
            else:
                with device.context():
                    what = cls.operation()
                    result = in_memory(device, what, arrays, lambda: cls.forward(node, *arrays, **options))
        results = result if isinstance(result, tuple) else (result,)
        tensors = tuple(Tensor(y if hasattr(y, "strides") else np.asarray(y)) for y in results)
        outputs = tuple(t.data for t in tensors)
        if cls.is_view and dispatch.array_module(outputs[0]).may_share_memory(outputs[0], arrays[0]):
            tensors[0]._version = inputs[0]._version
            inputs[0]._version.add_view(inputs[0], tensors[0])
        if any(node.needs_input_grad):
            _record(node, inputs, results, tensors)
        if anomaly.is_enabled():
            anomaly.check_forward(node, arrays, outputs)
        watcher = _watcher.get()
        if watcher is not None:
            watcher(cls, arrays, outputs[0], options)
        return tensors if isinstance(result, tuple) else tensors[0]


def _record(
    node: Node, inputs: tuple[Any, ...], results: tuple[Any, ...], tensors: tuple[Tensor, ...]
) -> None:
    """Connect the outputs to the node that made them."""
    stand_in = trial.get()
    if stand_in is None:
        node.guard(results, tensors)
        node.finish(tuple(t.data for t in tensors))
    else:
        node = stand_in(inputs)
    for index, tensor in enumerate(tensors):
        if tensor.data.dtype.kind == "f":
            tensor.requires_grad, tensor._node, tensor._index = True, node, index


def _plain(function: type[Function], value: Any) -> Any:
    """An input that is no tensor; of an array what kernels take."""
    return plain(function.operation(), value) if isinstance(value, np.ndarray) else value


def _distinct(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arrays, none twice: in ``x * x.detach()`` both inputs have one array, but only one a gradient.

    What a forward saves is recognised as an input by the array's identity, so a second one becomes a view.
    """
    ids = [id(a) for a in arrays if hasattr(a, "strides")]
    if len(set(ids)) == len(ids):
        return arrays
    seen: set[int] = set()
    result = []
    for a in arrays:
        twice = hasattr(a, "strides") and id(a) in seen
        seen.add(id(a))
        result.append(a.view() if twice else a)
    return tuple(result)
