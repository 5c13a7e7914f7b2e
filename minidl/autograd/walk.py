"""From a result back to what it was computed from: how gradients are collected.

**Order.** A node may run its backward only when the cotangents from *all* of its consumers have arrived and
were summed (the chain rule adds over paths). Inputs exist before the node that uses them, so the order of
creation is a topological order, and walking the nodes from the youngest to the oldest is always right. The
walk keeps its own heap; no recursion, so a chain of a hundred thousand operations is no problem.

**Twice.** With ``create_graph=True`` the cotangents are tensors and each node runs its ``tensor_backward``,
whose operations are recorded like any others: the gradient is the end of a graph of its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from minidl import dispatch
from minidl._device import on
from minidl._tensor import Tensor
from minidl.autograd import anomaly
from minidl.autograd.ends import accumulate, is_one_in_a_list, owned, require_graph, seeds_of
from minidl.autograd.grad_mode import set_grad_enabled
from minidl.autograd.hooks import fitting, hooked, run_hooks
from minidl.autograd.node import Edge, Node


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradients of ``tensors`` (times ``grad_tensors``) to ``.grad`` of every leaf they depend on.

    Args:
        tensors: where to start, one or several, whose gradients are added; scalars unless ``grad_tensors`` is
            given.
        grad_tensors: the cotangent of each, of the same shape; None for a scalar's.
        retain_graph: keep what the nodes saved, so that backward may run again; by default as
            ``create_graph``.
        create_graph: record the backward itself, so that the gradients can be differentiated again. They then
            hold on to the graph: set ``.grad`` to None, or use :func:`grad`, to let it go.

    Raises:
        RuntimeError: nothing to differentiate, a missing or misshapen gradient, a graph already walked, an
            array that was changed in place in between, or ``create_graph`` through an operation whose
            backward is not made of operations.
        ValueError: not as many cotangents as tensors.
    """
    outputs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if isinstance(tensors, Tensor) and not is_one_in_a_list(grad_tensors):
        grad_tensors = [grad_tensors]  # whatever has its shape: numbers in lists, too
    for tensor in outputs:
        require_graph("backward", tensor)
    seeds = seeds_of("backward", outputs, grad_tensors, create_graph)
    walk = _Walk(create_graph)
    for tensor, seed in zip(outputs, seeds, strict=True):
        walk.send(_edge(tensor), seed)
    walk.run(create_graph if retain_graph is None else retain_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """The gradient of the outputs with respect to the inputs, without touching any ``.grad``.

    Only the part of the graph that leads from the outputs to the inputs is walked.

    Args:
        outputs: a tensor or several, whose gradients are added.
        inputs: a tensor or several, leaves or computed ones.
        grad_outputs: the cotangent of each output; may be left out (or None) for scalars.
        retain_graph: keep what the nodes saved, so that they may be walked again; by default as
            ``create_graph``.
        create_graph: record the backward itself, so that the result can be differentiated again.
        only_inputs: there for torch's sake, and True.
        allow_unused: give None for an input that the outputs do not depend on, instead of raising.

    Returns:
        a tuple with one gradient for each input.

    Raises:
        RuntimeError: as :func:`backward`; or an input does not require a gradient, or is not used.
        ValueError: not as many cotangents as outputs.
        NotImplementedError: ``only_inputs=False``; :func:`backward` gives every leaf its gradient.

    >>> import minidl
    >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> minidl.autograd.grad((x * x * x).sum(), x)
    (tensor([ 3., 12.]),)
    """
    if not only_inputs:
        raise NotImplementedError("grad: only_inputs=False is not there; backward() gives all leaves theirs")
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for tensor in (*outputs, *inputs):
        require_graph("grad", tensor)
    seeds = seeds_of("grad", outputs, grad_outputs, create_graph)
    walk = _Walk(create_graph, inputs, outputs)
    for tensor, seed in zip(outputs, seeds, strict=True):
        walk.send(_edge(tensor), seed)
    walk.run(create_graph if retain_graph is None else retain_graph)
    results = walk.results()
    for position, (tensor, result) in enumerate(zip(inputs, results, strict=True)):
        if result is None and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {position} of shape {tensor.shape}; pass "
                "allow_unused=True to get None for it"
            )
    return tuple(results)


def cotangents_at(
    outputs: list[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Any]
) -> list[Tensor | None]:
    """As :func:`grad`, but the inputs are where the walk ends, even if one was computed from another.

    The list of outputs is emptied, so that the walk can free each array when it has passed it.
    """
    walk = _Walk(False, inputs, [y for y in outputs if y.requires_grad], cut=True)
    edges = [(_edge(y), seed) for y, seed in zip(outputs, seeds, strict=True) if y.requires_grad]
    outputs.clear()
    while edges:
        walk.send(*edges.pop(0))
    walk.run(retain_graph=False)
    return walk.results()


class _Walk:
    """One walk: the cotangents under way, and where they end up.

    Without ``targets`` every leaf collects its gradient in ``.grad``. With them nothing but the targets does,
    in a table of this walk, and only nodes that lead to one of them are walked; with ``cut`` the walk ends at
    each of them.
    """

    def __init__(
        self,
        create_graph: bool,
        targets: Sequence[Tensor] | None = None,
        roots: Sequence[Tensor] = (),
        cut: bool = False,
    ) -> None:
        self.create_graph = create_graph
        self.cut = cut
        self.pending: dict[Node, list[Any | None]] = {}
        self.heap: list[tuple[int, Node]] = []
        self.everything = targets is None
        self.targets = list(targets or ())
        self.keys = [_key(_edge(t)) for t in self.targets]
        self.found: dict[Any, Any] = dict.fromkeys(self.keys)
        self.hooked: dict[Any, Tensor] = {}
        self.arrived: list[tuple[Tensor, list[Any]]] = []
        self.useful = set() if self.everything else _leading_to(self.found.keys(), roots, cut)

    def send(self, edge: Edge, cotangent: Any) -> None:
        """Add a cotangent to what has arrived at a leaf or at an output of a node."""
        if edge is None:
            return
        if isinstance(edge, Tensor):
            self._at_leaf(edge, cotangent)
            return
        if self.cut and edge in self.found:
            self._find(edge, cotangent)
            return
        node, index = edge
        if not (self.everything or node in self.useful or edge in self.found):
            return
        if node not in self.pending:
            self.pending[node] = [None] * len(node.output_shapes)
            heapq.heappush(self.heap, (-node.order, node))  # orders are unique: nodes are never compared
        present = self.pending[node][index]
        self.pending[node][index] = cotangent if present is None else _sum(present, cotangent)

    def _at_leaf(self, leaf: Tensor, cotangent: Any) -> None:
        key = _key(leaf)
        if not (self.everything or key in self.found):
            return
        if leaf._leaf_hooks and not self.cut:
            self.hooked[key] = leaf  # its hooks see the sum over all paths: it waits for the walk's end
            self.found.setdefault(key)
        elif self.everything:
            self.arrived.append((leaf, [cotangent]))
            return
        self._find(key, cotangent)

    def run(self, retain_graph: bool) -> None:
        """Walk from the youngest node to the oldest."""
        with set_grad_enabled(self.create_graph), np.errstate(all="ignore"):  # NaN travel silently
            self._accumulate()  # the cotangent of a tensor that is itself a leaf
            while self.heap:
                _, node = heapq.heappop(self.heap)
                cotangents = hooked(node, self.pending.pop(node))
                for index, cotangent in enumerate(cotangents):
                    if (node, index) in self.found and cotangent is not None:
                        self._find((node, index), cotangent)
                if self.everything or node in self.useful:
                    self._through(node, cotangents)
                    if not retain_graph:
                        node.release()
                    cotangents.clear()
                    self._accumulate()
            for key, leaf in self.hooked.items():
                self.found[key] = run_hooks(leaf._leaf_hooks, self.found[key])
                if self.everything:
                    accumulate(leaf, [self.found.pop(key)])

    def _accumulate(self) -> None:
        """Add to the leaves what arrived there, when nothing else holds on to it any more."""
        for leaf, box in self.arrived:
            accumulate(leaf, box)
        self.arrived.clear()

    def _through(self, node: Node, cotangents: list[Any | None]) -> None:
        results = node.run_backward(cotangents, self.create_graph)
        if anomaly.is_enabled():
            anomaly.check_backward(node, cotangents, results)
        for position, (edge, cotangent) in enumerate(zip(node.edges, results, strict=True)):
            if edge is not None and cotangent is not None:
                self.send(edge, fitting(node.name, position, cotangent, *_form_of(edge)))

    def _find(self, key: Any, cotangent: Any) -> None:
        present = self.found[key]
        self.found[key] = cotangent if present is None else _sum(present, cotangent)

    def results(self) -> list[Tensor | None]:
        """What arrived at each target, in memory of its own that lies as the target's; None for nothing."""
        results: list[Tensor | None] = []
        for position, (key, target) in enumerate(zip(self.keys, self.targets, strict=True)):
            again = key in self.keys[position + 1 :]
            box = [self.found[key] if again else self.found.pop(key)]
            results.append(None if box[0] is None else owned(box, target.data))
        return results


def _sum(present: Any, cotangent: Any) -> Any:
    """Two cotangents that meet. Not in place: the same array may be the cotangent of several tensors."""
    if not isinstance(present, Tensor | np.generic) and not isinstance(cotangent, Tensor | np.generic):
        with on(present):
            return dispatch.kernels("arithmetic", present).add(present, cotangent)
    with np.errstate(all="ignore"):  # NumPy's scalars warn, too
        return present + cotangent


def _edge(tensor: Tensor) -> tuple[Node, int] | Tensor:
    return tensor if tensor._node is None else (tensor._node, tensor._index)


def _form_of(edge: tuple[Node, int] | Tensor) -> tuple[tuple[int, ...], Any]:
    """Shape and dtype of the tensor whose cotangent goes along the edge."""
    if isinstance(edge, Tensor):
        return edge.shape, edge.dtype
    node, index = edge
    return node.output_shapes[index], node.output_dtypes[index]


def _key(edge: tuple[Node, int] | Tensor) -> Any:
    return id(edge) if isinstance(edge, Tensor) else edge


def _leading_to(keys: Container[Any], roots: Sequence[Tensor], cut: bool) -> set[Node]:
    """The nodes below the roots from which the walk reaches one of the keys."""
    nodes: dict[Node, None] = {}
    stack = [t._node for t in roots if t._node is not None]
    while stack:
        node = stack.pop()
        if node in nodes:
            continue
        nodes[node] = None
        stack.extend(e[0] for e in node.edges if isinstance(e, tuple) and not (cut and e in keys))
    useful: set[Node] = set()
    for node in sorted(nodes, key=lambda node: node.order):  # inputs first
        if any(
            e is not None and (_key(e) in keys or (isinstance(e, tuple) and e[0] in useful))
            for e in node.edges
        ):
            useful.add(node)
    return useful
