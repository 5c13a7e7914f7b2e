"""A node of the tape: what one application of an operation leaves behind for its backward."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minidl._device import device_of, in_memory
from minidl._handles import Hook, HookHandle, Version
from minidl._tensor import Tensor
from minidl.autograd.grad_mode import is_grad_enabled

if TYPE_CHECKING:
    from minidl.autograd.function import Function

_birth = itertools.count()

#: Set while a function runs for the second time: see :mod:`minidl.autograd.recompute`.
recomputing: ContextVar[bool] = ContextVar("minidl_recomputing", default=False)

#: Where the cotangent of an input goes: to (node, index of its output), to a leaf, or nowhere.
Edge = tuple["Node", int] | Tensor | None


class Saved(NamedTuple):
    """Something that a forward kept for the backward."""

    value: Any  #: an array; a number or None as it came
    version: Version | None = None  #: the counter of the tensor whose memory it is, if it is a tensor's
    stamp: int = 0  #: where that counter stood when it was saved
    input: int | None = None  #: the position of the input that it is
    output: int | None = None  #: the position of the output that it is


class Node:
    """One application of a :class:`Function`: the ``ctx`` of its forward, kept on the tape for its backward.

    Attributes:
        needs_input_grad: for each input, whether its cotangent is wanted at all.
        saved: what forward stored with :meth:`save`.
        kernels: set by forward where the operation has kernels, so that backward uses the same backend.

    A forward may set further attributes (options that the backward needs).
    """

    def __init__(self, function: type[Function], inputs: tuple[Any, ...], arrays: tuple[Any, ...]) -> None:
        self.function = function
        self.order = next(_birth)
        recording = is_grad_enabled()
        self.needs_input_grad = tuple(recording and isinstance(x, Tensor) and x.requires_grad for x in inputs)
        self._inputs: tuple[Any, ...] = inputs  # these two only while forward runs
        self._arrays: tuple[Any, ...] = arrays
        self._saved: tuple[Saved, ...] | None = ()
        self._on_tensors = False  # whether ``saved`` gives tensors: only while ``tensor_backward`` runs
        # Filled by ``finish``: where each input's cotangent goes, and what the outputs look like.
        self.edges: list[Edge] = []
        self.output_shapes: list[tuple[int, ...]] = []
        self.output_dtypes: list[np.dtype[Any]] = []
        self.hooks: dict[int, dict[HookHandle, Hook]] = {}
        self.kept: dict[int, list[Callable[[Any], None]]] = {}  # told of an output's gradient after the hooks
        self.origin = ""  # where in the program it was made: only in anomaly mode

    if TYPE_CHECKING:  # the further attributes, which only their operation knows

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    def name(self) -> str:
        """``Conv2dBackward`` and the like, as torch's ``grad_fn.name()``."""
        return f"{self.function.__name__}Backward"

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    @property
    def next_functions(self) -> list[Edge]:
        """Where the cotangent of each input goes: to (node, index of its output), to a leaf, or nowhere."""
        return list(self.edges)

    # -- what forward saves ----------------------------------------------------------------------------------

    def save(self, *arrays: Any) -> None:
        """Keep arrays for the backward; if they are inputs or outputs, a later change of them is noticed.

        Nothing is kept where no backward will come: no input needs a gradient, or ``no_grad()``.
        """
        if not any(self.needs_input_grad):
            return
        rows, owners = [], _owners(self._inputs)
        for array in arrays:
            position = next((i for i, x in enumerate(self._arrays) if x is array), None)
            rows.append(_saved(array, owners, position))
        self._saved = tuple(rows)

    def guard(self, results: tuple[Any, ...], outputs: tuple[Tensor, ...]) -> None:
        """What forward gave became the outputs: keep the versions of those that were saved."""
        rows, owners = [], _owners(outputs)
        for row in self._saved or ():
            if row.version is None:
                position = next((i for i, y in enumerate(results) if y is row.value), None)
                # NumPy gives 0-d results as scalars, which became arrays in the tensors.
                value = row.value if position is None else outputs[position].data
                row = _saved(value, owners, row.input, position)
            rows.append(row)
        self._saved = tuple(rows)

    @property
    def saved(self) -> tuple[Any, ...]:
        """What :meth:`save` was given, in its order: arrays, in ``tensor_backward`` tensors.

        Raises:
            RuntimeError: an array was changed in place after forward, or a walk has emptied the node.
        """
        if self._saved is None:
            remedy = (
                "a function given to checkpoint() runs a second time in the backward, with what it asks of a "
                "graph from outside: ask for that outside of it, or pass retain_graph=True there"
                if recomputing.get()
                else "pass retain_graph=True to the first backward() if you want a second one"
            )
            raise RuntimeError(
                f"{self.function.operation()}: backward() went through this part of the graph before, and "
                f"what it had saved is gone; {remedy}"
            )
        for row in self._saved:
            if row.version is not None and row.version.value != row.stamp:
                raise RuntimeError(
                    f"{self.function.operation()}: an array of shape {tuple(row.value.shape)} that backward "
                    f"needs was changed in place after forward (version {row.version.value}, expected "
                    f"{row.stamp})"
                )
        return tuple(self._as_tensor(row) if self._on_tensors else row.value for row in self._saved)

    def _as_tensor(self, row: Saved) -> Any:
        """A saved array as the tensor that it was: with its place in the graph, if it has one."""
        if not hasattr(row.value, "strides"):
            return row.value
        edge: Edge = None
        if row.input is not None:
            edge = self.edges[row.input]
        elif row.output is not None and row.value.dtype.kind == "f":
            edge = (self, row.output)
        if isinstance(edge, Tensor):
            if _owner(edge.data) is not _owner(row.value):
                raise RuntimeError(
                    f"{self.function.operation()}: the .data of a tensor of shape {edge.shape} was replaced "
                    "after forward; create_graph=True needs the tensor as it was"
                )
            return edge
        tensor = Tensor(row.value)
        if row.version is not None:
            tensor._version = row.version
        if edge is not None:
            tensor.requires_grad = True
            tensor._node, tensor._index = edge
        return tensor

    def finish(self, outputs: tuple[Any, ...]) -> None:
        """Forward is done: turn the inputs into edges and let go of them."""
        for x, needed in zip(self._inputs, self.needs_input_grad, strict=True):
            if not needed:
                self.edges.append(None)
            else:
                self.edges.append(x if x._node is None else (x._node, x._index))
        self._inputs = self._arrays = ()
        self.output_shapes = [y.shape for y in outputs]
        self.output_dtypes = [y.dtype for y in outputs]

    def release(self) -> None:
        """Forget the saved arrays (their memory is free), so that a second walk is noticed."""
        self._saved = None

    # -- backward --------------------------------------------------------------------------------------------

    def run_backward(self, cotangents: list[Any | None], create_graph: bool) -> tuple[Any, ...]:
        """Cotangents of the outputs to cotangents of the inputs: arrays, with ``create_graph`` tensors.

        Raises:
            RuntimeError: the node was walked before, a saved array was changed, or ``create_graph`` is asked
                of an operation whose backward is not made of operations.
        """
        if self._saved is None:
            _ = self.saved  # raises
        present = next(g.data if isinstance(g, Tensor) else g for g in cotangents if g is not None)
        device = device_of(present)
        with np.errstate(all="ignore"):
            if device.index is None:
                result = self._from_all(cotangents, create_graph, np)
            else:
                xp = device.namespace()
                with device.context():
                    what = f"the backward of {self.function.operation()}"
                    result = in_memory(
                        device, what, (present,), lambda: self._from_all(cotangents, create_graph, xp)
                    )
        result = result if isinstance(result, tuple) else (result,)
        if len(result) != len(self.edges):
            raise RuntimeError(f"{self.name()}: gave {len(result)} gradients for {len(self.edges)} inputs")
        return result

    def _from_all(self, cotangents: list[Any | None], create_graph: bool, xp: Any) -> Any:
        """Run the backward, with zeros for outputs that nobody used."""
        full = [
            xp.zeros(shape, dtype) if g is None else g
            for g, shape, dtype in zip(cotangents, self.output_shapes, self.output_dtypes, strict=True)
        ]
        return self._on_graph(full) if create_graph else self.function.backward(self, *full)

    def _on_graph(self, cotangents: list[Any]) -> Any:
        rule = self.function.tensor_backward
        if rule is None:
            raise RuntimeError(
                f"{self.function.operation()}: create_graph=True asks for the gradient of a gradient, but "
                "the backward of this operation is not made of operations (it has no tensor_backward)"
            )
        self._on_tensors = True
        try:
            result = rule(self, *(g if isinstance(g, Tensor) else Tensor(g) for g in cotangents))
        finally:
            self._on_tensors = False
        for gradient in result if isinstance(result, tuple) else (result,):
            if gradient is not None and not isinstance(gradient, Tensor):
                raise RuntimeError(
                    f"{self.name()}: tensor_backward must give tensors, got {type(gradient).__name__}: "
                    "the graph of the gradient would be lost"
                )
        return result


def _owners(tensors: tuple[Any, ...]) -> list[tuple[Any, Tensor]]:
    """The tensors among these, each with the object that owns its memory."""
    return [(_owner(t.data), t) for t in tensors if isinstance(t, Tensor)]


def _saved(
    array: Any, owners: list[tuple[Any, Tensor]], input: int | None = None, output: int | None = None
) -> Saved:
    """An array with the version of the tensor, among these, that lies in the same memory."""
    owner = _owner(array)
    found = [t for own, t in owners if own is owner]
    if not found:
        return Saved(array, None, 0, input, output)
    # The array's own tensor first: parts of one array may be tensors with versions of their own.
    version = min(found, key=lambda t: t.data is not array)._version if len(found) > 1 else found[0]._version
    return Saved(array, version, version.value, input, output)


def _owner(array: Any) -> Any:
    """The object that owns an array's memory: the array itself, or what it is a view of."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array
