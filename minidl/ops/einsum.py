"""Einstein summation: products of tensors whose axes have names, summed over the names that the result lacks.

Notation: "ij,jk->ik" says Z[i, k] = Σ_j X[i, j] Y[j, k]; G is the cotangent of Z. The letters are labels, one
for each axis; operands that share a label share the index. Without "->" the result has the labels that occur
once, in alphabetical order. An ellipsis stands for leading axes that broadcast.

    forward   Z[out] = Σ over the labels not in out of X_1[in_1] ··· X_m[in_m]
    backward  dX_k[in_k] = Σ over the labels not in in_k of G[out] · (all the other X)

so each gradient is an Einstein summation in which G has taken the place of the operand: "ik,jk->ij" and
"ij,ik->jk" for the product above.

Before that, each operand is made plain by operations of its own: an extent of 1 beside a longer one loses its
label, a label that occurs twice is reduced to the diagonal, one that nobody else has is summed. What is left
is contracted pair by pair from the left, each pair as a matrix product: labels of both that survive count the
matrices, labels of both that do not are summed, the others are rows and columns.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from minidl._tensor import Tensor
from minidl.autograd import Function, Node
from minidl.ops.diagonal import diagonal
from minidl.ops.indexing import getitem
from minidl.ops.matmul import product
from minidl.ops.movement import permute
from minidl.ops.reductions import sum as sum_over


class Einsum(Function):
    """Z[out] = Σ X_1[in_1] ··· X_m[in_m]; each label of an operand is in the result or another operand."""

    @staticmethod
    def forward(ctx: Node, *xs: Any, labels: tuple[str, ...], result: str) -> Any:
        ctx.save(*xs)
        ctx.labels, ctx.result = labels, result
        return _contracted(list(xs), list(labels), result)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        xs, gradients = ctx.saved, []
        for k, needed in enumerate(ctx.needs_input_grad):
            others = [g, *xs[:k], *xs[k + 1 :]]
            labels = [ctx.result, *ctx.labels[:k], *ctx.labels[k + 1 :]]
            gradients.append(_contracted(others, labels, ctx.labels[k]) if needed else None)
        return tuple(gradients)

    tensor_backward = backward

    @staticmethod
    def flops(arrays: tuple[Any, ...], output: Any, **options: Any) -> int:
        labels = options["labels"]
        extents = _extents(arrays, labels)
        total, left = 0, labels[0]
        for k, right in enumerate(labels[1:], start=1):
            later = set(options["result"]).union(*labels[k + 1 :])
            total += 2 * math.prod(extents[label] for label in set(left + right))
            left = "".join(label for label in dict.fromkeys(left + right) if label in later)
        return total


def _extents(xs: Sequence[Any], labels: Sequence[str]) -> dict[str, int]:
    return {i: n for x, own in zip(xs, labels, strict=True) for i, n in zip(own, x.shape, strict=True)}


def _contracted(xs: list[Any], labels: list[str], output: str) -> Any:
    """Arrays multiplied pair by pair, then the axes in the order of ``output``; of tensors the operation."""
    if isinstance(xs[0], Tensor):
        return Einsum.apply(*xs, labels=tuple(labels), result=output)
    x, own = xs[0], labels[0]
    for k in range(1, len(xs)):
        later = set(output).union(*labels[k + 1 :])
        x, own = _pair(x, own, xs[k], labels[k], later)
    return x.transpose([own.index(label) for label in output])


def _pair(x: Any, a: str, y: Any, b: str, later: set[str]) -> tuple[Any, str]:
    """The product of two operands with labels a and b, summed over those that nobody needs later."""
    batch = [i for i in a if i in b and i in later]
    summed = [i for i in a if i in b and i not in later]
    rows, columns = [i for i in a if i not in b], [i for i in b if i not in a]
    extents = _extents((x, y), (a, b))

    def matrices(array: Any, labels: str, *groups: list[str]) -> Any:
        order = [labels.index(i) for group in groups for i in group]
        return array.transpose(order).reshape([math.prod(extents[i] for i in group) for group in groups])

    z = product(matrices(x, a, batch, rows, summed), matrices(y, b, batch, summed, columns))
    free = [*batch, *rows, *columns]
    return z.reshape([extents[i] for i in free]), "".join(free)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Products of tensors with named axes, summed over the names that are missing in the result.

    Args:
        equation: as ``"bij,bjk->bik"``: letters for the axes of each operand and of the result. Spaces do not
            count. A letter twice in one operand takes its diagonal; ``...`` stands for the axes not named.
        operands: as many tensors as the equation names, of one dtype; or one list of them.

    Raises:
        TypeError: operands of different dtypes, or several bool ones.
        ValueError: an equation that cannot be read, or one that does not fit the shapes.

    >>> import minidl
    >>> x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> minidl.ops.einsum("ij,jk->ik", x, x)
    tensor([[ 7., 10.],
            [15., 22.]])
    >>> minidl.ops.einsum("ii", x), minidl.ops.einsum("ij->j", x)
    (tensor(5.), tensor([4., 6.]))
    """
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    tensors = [t if isinstance(t, Tensor) else Tensor(t) for t in given]
    labels, output = _parsed(equation, tensors)
    if len({t.dtype for t in tensors}) > 1:
        raise TypeError(f"einsum: operands have different dtypes, {', '.join(str(t.dtype) for t in tensors)}")
    if len(tensors) > 1 and tensors[0].dtype.kind == "b":
        raise TypeError("einsum: bool operands are not multiplied; cast them to integers")
    pairs = [_plain(equation, t, own) for t, own in zip(tensors, labels, strict=True)]
    pairs = _broadcast(equation, pairs)
    counts = Counter(label for _, own in pairs for label in own)
    for k, (t, own) in enumerate(pairs):
        alone = [i for i, label in enumerate(own) if counts[label] == 1 and label not in output]
        if alone:
            kept = "".join(label for i, label in enumerate(own) if i not in alone)
            pairs[k] = sum_over(t, alone), kept
    if len(pairs) == 1:
        t, own = pairs[0]
        return permute(t, [own.index(label) for label in output])
    return Einsum.apply(*(t for t, _ in pairs), labels=tuple(own for _, own in pairs), result=output)


def _plain(equation: str, x: Tensor, own: str) -> tuple[Tensor, str]:
    """An operand each of whose labels occurs once: of those that occur twice, the diagonal."""
    for label, count in Counter(own).items():
        for _ in range(count - 1):
            first = own.index(label)
            second = own.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ValueError(
                    f"einsum: {label!r} stands for extents {x.shape[first]} and {x.shape[second]} of one "
                    f"operand in {equation!r} (shape {x.shape})"
                )
            x = diagonal(x, 0, first, second)
            own = "".join(i for k, i in enumerate(own) if k not in (first, second)) + label
    return x, own


def _broadcast(equation: str, pairs: list[tuple[Tensor, str]]) -> list[tuple[Tensor, str]]:
    """Operands whose labels agree in their extents: an axis of 1 beside a longer one loses its label."""
    extents: dict[str, int] = {}
    for x, own in pairs:
        for label, n in zip(own, x.shape, strict=True):
            if extents.setdefault(label, n) == 1:
                extents[label] = n
            elif n not in (1, extents[label]):
                raise ValueError(
                    f"einsum: {label!r} stands for extents {extents[label]} and {n} in {equation!r} "
                    f"(shapes {', '.join(str(t.shape) for t, _ in pairs)})"
                )
    result = []
    for x, own in pairs:
        fits = [n == extents[label] for label, n in zip(own, x.shape, strict=True)]
        if not all(fits):
            x = getitem(x, tuple(slice(None) if fit else 0 for fit in fits))
            own = "".join(label for label, fit in zip(own, fits, strict=True) if fit)
        result.append((x, own))
    return result


def _parsed(equation: str, tensors: Sequence[Tensor]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, the ellipsis spelled out with letters that are free."""
    text = equation.replace(" ", "")
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    for term in [*terms, output]:
        if not re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", term):
            raise ValueError(f"einsum: {term!r} in {equation!r} is not made of letters and at most one '...'")
    if len(terms) != len(tensors):
        raise ValueError(f"einsum: {equation!r} names {len(terms)} operands, got {len(tensors)}")
    free = [i for i in string.ascii_letters if i not in text]
    hidden, labels = 0, []
    for term, x in zip(terms, tensors, strict=True):
        named = len(term.replace("...", ""))
        rest = x.ndim - named
        if rest < 0 or (rest and "..." not in term) or rest > len(free):
            raise ValueError(f"einsum: {term!r} in {equation!r} does not fit an operand of shape {x.shape}")
        hidden = max(hidden, rest) if "..." in term else hidden
        labels.append((term, rest))
    # Axes behind the ellipsis are aligned at the right, as in broadcasting.
    full = "".join(free[:hidden])
    inputs = [term.replace("...", full[hidden - rest :]) for term, rest in labels]
    if arrow:
        output = output.replace("...", full)
    else:
        counts = Counter(i for term, _ in labels for i in term)
        output = full + "".join(sorted(i for i in counts if i != "." and counts[i] == 1))
    for label in output:
        if output.count(label) > 1 or not any(label in own for own in inputs):
            raise ValueError(
                f"einsum: label {label!r} of the result must occur once there and in an operand: {equation!r}"
            )
    return inputs, output
