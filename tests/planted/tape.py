"""Mistakes of the walk over the tape: what the operations give is right, what becomes of it is not."""

from __future__ import annotations

import heapq

import numpy as np

import minidl
from planted.planting import LOOPS, TORCH, Mistake, Walk, some

X = some(3, 3)


class OverwritesBetween(Walk):
    """A tensor that is used twice keeps the cotangent that arrives last."""

    def send(self, edge, cotangent):
        if isinstance(edge, tuple) and edge[0] in self.pending:
            self.pending[edge[0]][edge[1]] = None
        super().send(edge, cotangent)


class OverwritesLeaves(Walk):
    """The same at a leaf."""

    def send(self, edge, cotangent):
        if isinstance(edge, minidl.Tensor):
            edge.grad = None
        super().send(edge, cotangent)


class OldestFirst(Walk):
    """The nodes from the oldest to the youngest: a node runs before all its cotangents are there."""

    def send(self, edge, cotangent):
        super().send(edge, cotangent)
        self.heap = [(abs(order), node) for order, node in self.heap]
        heapq.heapify(self.heap)


class AddsInPlace(Walk):
    """The sum of two cotangents written over the first, which may be another tensor's too."""

    def send(self, edge, cotangent):
        if isinstance(edge, tuple) and edge[0] in self.pending:
            present = self.pending[edge[0]][edge[1]]
            if present is not None and present.flags.writeable:
                present += cotangent
                return
        super().send(edge, cotangent)


def _twice_between(F, x):
    y = F.exp(x)
    return F.mul(y, F.tanh(y))


def _shared(F, x):
    """The cotangent of y + z is that of both y and z, and y gets another one, from the older y²."""
    y, z = F.exp(x), F.tanh(x)
    square = F.mul(y, y)
    return F.add(square, F.add(y, z))


def mistake(what, line, oracle, wrong, **more):
    return Mistake("backward", what, line, (X,), oracle, "", wrong, **more)


MISTAKES = [
    mistake(
        "a tensor used twice keeps the last cotangent",
        _twice_between,
        lambda x: np.exp(x) * np.tanh(np.exp(x)),
        OverwritesBetween,
    ),
    mistake(
        "a leaf used twice keeps the last gradient",
        lambda F, x: F.mul(F.exp(x), x),
        lambda x: np.exp(x) * x,
        OverwritesLeaves,
    ),
    mistake(
        "from the oldest operation to the youngest",
        _twice_between,
        lambda x: np.exp(x) * np.tanh(np.exp(x)),
        OldestFirst,
        caught=(LOOPS, TORCH),
    ),
    mistake(
        "cotangents summed in place, though others share them",
        _shared,
        lambda x: np.exp(x) + np.tanh(x) + np.exp(x) ** 2,
        AddsInPlace,
    ),
]
