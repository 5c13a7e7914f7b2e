"""The tape: what ran, in which order, and how to walk back over it.

Every differentiable operation is a :class:`Function`: a ``forward`` that maps arrays to an array, and beside
it the ``backward`` that maps the cotangent of the output (the gradient of the final scalar with respect to
it) to the cotangents of the inputs. ``Function.apply`` runs the forward and leaves a :class:`Node` behind, if
any input requires a gradient. The nodes form a directed acyclic graph from the result to the leaves.

**Order.** A node may run its backward only when the cotangents from *all* of its consumers have arrived and
were summed (the chain rule adds over paths). Inputs exist before the node that uses them, so the order of
creation is a topological order, and walking the nodes from the youngest to the oldest is always right. The
walk keeps its own heap; no recursion, so a chain of a hundred thousand operations is no problem.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from minidl import dispatch
from minidl._tensor import Hook, HookHandle, Tensor, Version

_grad_enabled: ContextVar[bool] = ContextVar("minidl_grad_enabled", default=True)
_watcher: ContextVar[Callable[..., None] | None] = ContextVar("minidl_watcher", default=None)
_birth = itertools.count()

#: An array, the version counter of the tensor whose memory it is (if any), and the count when it was saved.
Saved = tuple[Any, Version | None, int]


def is_grad_enabled() -> bool:
    """Whether operations are recorded on the tape in the current context."""
    return _grad_enabled.get()


class no_grad(contextlib.ContextDecorator):
    """Within this block (or decorated function) nothing is recorded: results do not require a gradient.

    The state is local to the thread (more exactly, to the context: see :mod:`contextvars`).

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> with minidl.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __enter__(self) -> no_grad:
        self._stack = [*getattr(self, "_stack", ()), _grad_enabled.set(False)]
        return self

    def __exit__(self, *exc: object) -> None:
        _grad_enabled.reset(self._stack.pop())

    def _recreate_cm(self) -> no_grad:
        return no_grad()  # a decorated function may run in several threads: each call gets its own


@contextlib.contextmanager
def watch(callback: Callable[..., None]) -> Iterator[None]:
    """Call ``callback(function, arrays, output, options)`` after every operation in this block."""
    token = _watcher.set(callback)
    try:
        yield
    finally:
        _watcher.reset(token)


class Node:
    """One application of a :class:`Function`: the ``ctx`` of its forward, kept on the tape for its backward.

    Attributes:
        needs_input_grad: for each input, whether its cotangent is wanted at all.
        saved: the arrays that forward stored with :meth:`save`.
        kernels: set by forward where the operation has kernels, so that backward uses the same backend.

    A forward may set further attributes (options that the backward needs).
    """

    def __init__(self, function: type[Function], inputs: tuple[Any, ...]) -> None:
        self.function = function
        self.order = next(_birth)
        recording = _grad_enabled.get()
        self.needs_input_grad = tuple(recording and isinstance(x, Tensor) and x.requires_grad for x in inputs)
        self._inputs: tuple[Any, ...] = inputs  # only while forward runs
        self._saved: tuple[Saved, ...] | None = ()
        # Filled by ``finish``: where each input's cotangent goes, and what the outputs look like.
        self.edges: list[tuple[Node, int] | Tensor | None] = []
        self.output_shapes: list[tuple[int, ...]] = []
        self.output_dtypes: list[np.dtype[Any]] = []
        self.hooks: dict[int, dict[HookHandle, Hook]] = {}

    if TYPE_CHECKING:  # the further attributes, which only their operation knows

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    def name(self) -> str:
        """``Conv2dBackward`` and the like, as torch's ``grad_fn.name()``."""
        return f"{self.function.__name__}Backward"

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    @property
    def next_functions(self) -> list[tuple[Node, int] | Tensor | None]:
        """Where the cotangent of each input goes: to (node, index of its output), to a leaf, or nowhere."""
        return list(self.edges)

    def save(self, *arrays: Any) -> None:
        """Keep arrays for the backward; if they are inputs or outputs, a later change of them is noticed."""
        self._saved = tuple(_with_version(array, self._inputs) for array in arrays)

    def guard(self, outputs: tuple[Tensor, ...]) -> None:
        """The outputs are tensors now: keep the versions of those that were saved."""
        if self._saved:
            self._saved = tuple(
                row if row[1] is not None else _with_version(row[0], outputs) for row in self._saved
            )

    @property
    def saved(self) -> tuple[Any, ...]:
        """The saved arrays, in the order of :meth:`save`.

        Raises:
            RuntimeError: an array was changed in place after forward, or a walk has emptied the node.
        """
        if self._saved is None:
            raise RuntimeError(
                f"{self.function.operation()}: backward() went through this part of the graph before, and "
                "what it had saved is gone; pass retain_graph=True to the first backward() if you want a "
                "second one"
            )
        for array, version, value in self._saved:
            if version is not None and version.value != value:
                raise RuntimeError(
                    f"{self.function.operation()}: an array of shape {tuple(array.shape)} that backward "
                    f"needs was changed in place after forward (version {version.value}, expected {value})"
                )
        return tuple(array for array, _, _ in self._saved)

    def finish(self, outputs: tuple[Any, ...]) -> None:
        """Forward is done: turn the inputs into edges and let go of them."""
        for x, needed in zip(self._inputs, self.needs_input_grad, strict=True):
            if not needed:
                self.edges.append(None)
            else:
                self.edges.append(x if x._node is None else (x._node, x._index))
        self._inputs = ()
        self.output_shapes = [y.shape for y in outputs]
        self.output_dtypes = [y.dtype for y in outputs]

    def release(self) -> None:
        """Forget the saved arrays (their memory is free), so that a second walk is noticed."""
        self._saved = None

    def run_backward(self, cotangents: list[Any | None]) -> tuple[Any, ...]:
        """Cotangents of the outputs to cotangents of the inputs, with shapes checked."""
        if self._saved is None:
            _ = self.saved  # raises
        full = [
            np.zeros(shape, dtype) if g is None else g
            for g, shape, dtype in zip(cotangents, self.output_shapes, self.output_dtypes, strict=True)
        ]
        with np.errstate(all="ignore"):
            result = self.function.backward(self, *full)
        result = result if isinstance(result, tuple) else (result,)
        if len(result) != len(self.edges):
            raise RuntimeError(f"{self.name()}: gave {len(result)} gradients for {len(self.edges)} inputs")
        return result


def _with_version(array: Any, tensors: tuple[Any, ...]) -> Saved:
    """An array with the version of the tensor, among these, that lies in the same memory."""
    owner = _owner(array)
    found = [t for t in tensors if isinstance(t, Tensor) and _owner(t.data) is owner]
    if not found:
        return array, None, 0
    # The array's own tensor first: parts of one array may be tensors with versions of their own.
    version = min(found, key=lambda t: t.data is not array)._version
    return array, version, version.value


def _owner(array: Any) -> Any:
    """The object that owns an array's memory: the array itself, or what it is a view of."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


class Function:
    """A differentiable operation: a forward and, beside it, its backward. Subclass it to add one.

    ``forward(ctx, *inputs, **options)`` takes arrays (numbers and ``None`` are passed as they are) and
    returns an array or a tuple of arrays. ``backward(ctx, *cotangents)`` returns one cotangent for each
    input, ``None`` where there is none.

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
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> y = Cube.apply(x)
    >>> y.backward(minidl.tensor([1.0, 10.0]))
    >>> x.grad
    tensor([  3., 120.])
    """

    #: The output shares its memory with the first input, as that of a reshape: one changes with the other.
    is_view: ClassVar[bool] = False

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
        arrays = tuple(x.data if isinstance(x, Tensor) else x for x in inputs)
        node = Node(cls, inputs)
        with np.errstate(all="ignore"):  # infinities and NaN travel silently, as in torch
            result = cls.forward(node, *arrays, **options)
        tensors = tuple(Tensor(y) for y in (result if isinstance(result, tuple) else (result,)))
        outputs = tuple(t.data for t in tensors)
        if cls.is_view and dispatch.array_module(outputs[0]).may_share_memory(outputs[0], arrays[0]):
            tensors[0]._version = inputs[0]._version
        if any(node.needs_input_grad):
            node.guard(tensors)
            node.finish(outputs)
            for index, tensor in enumerate(tensors):
                if tensor.data.dtype.kind == "f":
                    tensor.requires_grad, tensor._node, tensor._index = True, node, index
        watcher = _watcher.get()
        if watcher is not None:
            watcher(cls, arrays, outputs[0], options)
        return tensors if isinstance(result, tuple) else tensors[0]


def backward(tensor: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add the gradient of ``tensor`` (times ``gradient``) to ``.grad`` of every leaf it was computed from.

    Args:
        tensor: where to start; a scalar unless ``gradient`` is given.
        gradient: the cotangent of ``tensor``, of the same shape.
        retain_graph: keep what the nodes saved, so that backward may run again.

    Raises:
        RuntimeError: nothing to differentiate, a missing or misshapen gradient, a graph already walked, or an
            array that was changed in place in between.
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            "backward: this tensor does not require a gradient and was not computed from one that does"
        )
    seed = _seed(tensor, gradient)
    if tensor._node is None:
        _accumulate(tensor, seed)
        return
    pending: dict[Node, list[Any | None]] = {}
    heap: list[tuple[int, Node]] = []

    def send(node: Node, index: int, cotangent: Any) -> None:
        if node not in pending:
            pending[node] = [None] * len(node.output_shapes)
            heapq.heappush(heap, (-node.order, node))  # orders are unique: nodes are never compared
        present = pending[node][index]
        # Not in place: the same array may be the cotangent of several tensors.
        pending[node][index] = cotangent if present is None else present + cotangent

    send(tensor._node, tensor._index, seed)
    while heap:
        _, node = heapq.heappop(heap)
        cotangents = _run_hooks(node, pending.pop(node))
        results = node.run_backward(cotangents)
        for position, (edge, cotangent) in enumerate(zip(node.edges, results, strict=True)):
            if edge is None or cotangent is None:
                continue
            _check(node, position, edge, cotangent)
            if isinstance(edge, Tensor):
                _accumulate(edge, cotangent)
            else:
                send(*edge, cotangent)
        if not retain_graph:
            node.release()


def _seed(tensor: Tensor, gradient: Any) -> Any:
    xp = dispatch.array_module(tensor.data)
    if gradient is None:
        if tensor.data.size != 1:
            raise RuntimeError(
                f"backward: a tensor of shape {tensor.shape} is no scalar; pass the gradient, "
                "an array of that shape"
            )
        return xp.ones_like(tensor.data)
    array = gradient.data if isinstance(gradient, Tensor) else xp.asarray(gradient)
    if array.shape != tensor.shape:
        raise RuntimeError(f"backward: gradient of shape {array.shape} for a tensor of shape {tensor.shape}")
    return array.astype(tensor.dtype, copy=False)


def _check(node: Node, position: int, edge: tuple[Node, int] | Tensor, cotangent: Any) -> None:
    if isinstance(edge, Tensor):
        expected = edge.shape
    else:
        expected = edge[0].output_shapes[edge[1]]
    if cotangent.shape != expected:
        raise RuntimeError(
            f"{node.name()}: gradient {position} has shape {cotangent.shape}, "
            f"but input {position} has shape {expected}"
        )


def _run_hooks(node: Node, cotangents: list[Any | None]) -> list[Any | None]:
    for index, hooks in node.hooks.items():
        for hook in list(hooks.values()):
            present = cotangents[index]
            if present is None:
                continue
            replaced = hook(Tensor(present))
            if replaced is not None:
                cotangents[index] = replaced.data
    return cotangents


def _accumulate(leaf: Tensor, cotangent: Any) -> None:
    """Add to a leaf's gradient, which owns its memory and lies in C order, whatever the cotangent's order."""
    for hook in list((leaf._leaf_hooks or {}).values()):
        replaced = hook(Tensor(cotangent))
        if replaced is not None:
            cotangent = replaced.data
    xp = dispatch.array_module(cotangent)
    if leaf.grad is None:
        leaf.grad = Tensor(xp.array(cotangent, dtype=leaf.dtype, order="C"))
    else:
        leaf.grad.data += cotangent
