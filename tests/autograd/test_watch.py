"""watch: what runs, while it runs."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.autograd import watch


def test_watching_what_runs():
    seen = []

    def note(function, arrays, output, options):
        seen.append((function.operation(), [np.shape(a) for a in arrays], output.shape, options))

    x = minidl.tensor(np.ones((2, 3)))
    with watch(note):
        x.sum(dim=1)
        ops.max(x * 2.0, 1)
    names = [name for name, *_ in seen]
    assert names[0] == "sum" and names[1] == "mul" and len(names) == 3
    assert seen[0][1:3] == ([(2, 3)], (2,))
    assert seen[1][1:] == ([(2, 3), ()], (2, 3), {})
    assert seen[2][2] == (2,), "the first of several outputs"
    x * 2.0
    assert len(seen) == 3, "no longer watched"


def test_an_inner_watcher_replaces_the_outer_one_and_gives_way_to_it_again():
    outer, inner = [], []
    x = minidl.tensor([1.0])
    with watch(lambda *a: outer.append(a)):
        with pytest.raises(ValueError, match="broadcast"), watch(lambda *a: inner.append(a)):
            (x * 2).add(minidl.tensor([1.0, 2.0, 3.0])).mul(minidl.tensor([1.0, 2.0]))
        x * 2
    assert (len(outer), len(inner)) == (1, 2), "the third did not come to its end"


def test_elementwise_work_counts_no_flops_and_inner_products_do():
    x = np.ones((2, 3))
    assert ops.arithmetic.Mul.flops((x, x), x) == 0
    counted = []
    with watch(lambda function, arrays, y, options: counted.append(function.flops(arrays, y, **options))):
        minidl.tensor(x) @ minidl.tensor(np.ones((3, 4)))
    assert counted == [2 * 2 * 3 * 4]
