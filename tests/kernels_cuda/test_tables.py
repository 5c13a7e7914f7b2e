"""The tables that open the .cu files, and what is counted for them."""

from __future__ import annotations

import json

import pytest

from minidl.kernels.cuda import budget, tables, workloads
from minidl.kernels.cuda.workloads import convolutions
from oracles.devices import compiler_or_skip


@pytest.mark.parametrize("path", budget.sources(), ids=lambda path: path.stem)
def test_the_table_of_a_file_is_that_of_its_kernels(path):
    known = budget.from_json(budget.BUDGET.read_text(encoding="utf-8"))
    counts = json.loads(tables.COUNTS.read_text(encoding="utf-8"))
    source = path.read_text(encoding="utf-8")
    assert source == tables.with_table(source, tables.table(path, known, counts)), (
        "write it anew: python -m minidl.kernels.cuda.tables --write"
    )


@pytest.mark.slow
def test_the_counts_are_those_of_the_kernels():
    compiler_or_skip()
    assert workloads.count() == json.loads(tables.COUNTS.read_text(encoding="utf-8"))


def kernels():
    return [name for path in budget.sources() for name, _ in tables.kernels(path.read_text(encoding="utf-8"))]


def test_every_kernel_has_its_counts():
    counts = json.loads(tables.COUNTS.read_text(encoding="utf-8"))
    assert sorted(counts) == sorted(kernels())
    assert all(row["bytes"] > 0 and row["moved"] > 0 and row["flops"] >= 0 for row in counts.values())
    # Without arithmetic on real numbers: copies, integers, places.
    assert {kernel for kernel, row in counts.items() if not row["flops"]} == {
        *("confusion_v1", "confusion_v2", "conv2d_flipped", "conv2d_taps", "dropout_mask_v1"),
        *("dropout_mask_v2", "im2col_v1", "im2col_v2", "interpolate_forward_v3", "max_unpool2d_gather"),
        *("max_unpool2d_last", "max_unpool2d_put_v1", "max_unpool2d_put_v2", "max_unpool2d_stayed"),
    }


def test_every_version_says_what_the_next_one_improves():
    said = {
        name: improvement
        for path in budget.sources()
        for name, improvement in tables.kernels(path.read_text(encoding="utf-8"))
    }
    for name, improvement in said.items():
        stem, _, number = name.rpartition("_v")
        if number.isdigit() and f"{stem}_v{int(number) + 1}" in said:
            assert improvement, name
    assert not {name for name, improvement in said.items() if improvement and not name[-1].isdigit()}


#: Atomic counts go where the pixels' classes say. Lanes that bring a tile's last columns, too, take more
#: turns than the others, and the simulator puts the n-th turns of all lanes together.
CONFLICTS = {"confusion_v2", "avg_pool2d_forward_v3"}


def test_no_kernel_waits_for_a_bank():
    counts = json.loads(tables.COUNTS.read_text(encoding="utf-8"))
    assert {kernel for kernel, row in counts.items() if row["bank_conflicts"]} <= CONFLICTS


def test_versions_move_less_and_less():
    """What each version's comment claims: v1 wastes sectors, v3 and later share tiles."""
    counts = json.loads(tables.COUNTS.read_text(encoding="utf-8"))
    moved = [counts[f"gemm_{version}"]["moved"] for version in ("v1", "v2", "v3", "v4", "v5")]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 3 * moved[1]
    assert counts["gemm_v1"]["bytes"] == counts["gemm_v2"]["bytes"]
    m, n, k = convolutions.PRODUCT
    assert counts["gemm_v1"]["bytes"] == 4 * (2 * k + 1)  # a row of A, a column of B, an element of C
    assert counts["gemm_v5"]["bytes"] * m * n == 4 * (m * k + k * n + m * n)  # one tile: everything once


def test_what_stands_above_a_kernel_is_read():
    source = "// v1: plain.\n// next: more\n// of it\n"
    source += 'extern "C" __global__ void __launch_bounds__(256, 2) k_v1(int n)\n'
    source += '{ }\n\nextern "C" __global__ void k_v2(int n) { }\n'
    assert list(tables.kernels(source)) == [("k_v1", "more of it"), ("k_v2", "")]


def test_an_old_table_is_replaced():
    first = tables.with_table("// a file\n", f"{tables.BEGIN}--\n// old\n{tables.END}--\n")
    new = f"{tables.BEGIN}--\n// new\n{tables.END}--\n"
    assert tables.with_table(first, new) == f"{new}// a file\n"


def test_a_stale_file_is_named(monkeypatch, tmp_path):
    path = tmp_path / "gemm.cu"
    path.write_text('extern "C" __global__ void gemm_v1(int n) { }\n')
    monkeypatch.setattr(budget, "sources", lambda: [path])
    said: list[str] = []
    assert tables.main(["--check"], said.append) == 1
    assert said == ["gemm.cu: its table is out of date; write it with --write"]
    assert tables.main(["--write"], said.append) == 0
    assert tables.main(["--check"], said.append) == 0
    assert path.read_text().count("gemm_v1") == 2
