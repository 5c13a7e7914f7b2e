"""The committed budget of registers, and what is worked out from it (tests/parity/test_nvrtc.py compiles)."""

from __future__ import annotations

import pytest

from minidl.kernels.cuda import budget, ptx
from minidl.kernels.cuda.budget import Use
from minidl.kernels.cuda.occupancy import LIMITS, occupancy

FILES = budget.sources()


def test_every_kernel_is_in_the_budget_for_every_architecture():
    table = budget.from_json(budget.BUDGET.read_text(encoding="utf-8"))
    expected: dict[str, set[tuple[str, int]]] = {}
    for job in budget.jobs(FILES):
        expected.setdefault(job.path.name, set()).add((job.types, job.architecture))
    for kernel, by_types in table.items():
        found = {(types, architecture) for types, uses in by_types.items() for architecture in uses}
        assert found == expected[kernel.partition(":")[0]], kernel
    assert {kernel.partition(":")[0] for kernel in table} == {path.name for path in FILES}
    spilling = {
        (kernel, types, architecture): use
        for kernel, by_types in table.items()
        for types, uses in by_types.items()
        for architecture, use in uses.items()
        if use.spills
    }
    assert spilling.keys() == budget.SPILLS_THAT_PAY.keys()
    for where, use in spilling.items():
        spills, otherwise = budget.SPILLS_THAT_PAY[where]
        assert use.spills == spills <= 32 and "long long" in where[1] and use.occupancy >= 1.5 * otherwise


def test_a_spill_that_pays_may_not_grow():
    (kernel, types, architecture), (spills, _) = next(iter(budget.SPILLS_THAT_PAY.items()))
    use = Use(32, spills, 0, 0, 1.0)

    def faults(found: Use) -> list[str]:
        return budget.faults({kernel: {types: {architecture: found}}}, {kernel: {types: {architecture: use}}})

    assert not faults(use)
    assert "spills" in faults(use._replace(spills=spills + 4))[0]


KNOWN = Use(registers=40, spills=0, stack=0, shared=1024, occupancy=0.75)
WORSE = {
    "registers": (KNOWN._replace(registers=45), "45 registers, budget 40"),
    "spills": (KNOWN._replace(spills=8), "spills 8 bytes"),
    "stack": (KNOWN._replace(stack=16), "16 bytes of local arrays"),
    "shared": (KNOWN._replace(shared=1028), "1028 bytes of shared"),
    "occupancy": (KNOWN._replace(occupancy=0.5), "occupancy 50%, budget 75%"),
}


def _faults(use: Use | None, known: Use | None) -> list[str]:
    def table(use):
        return {} if use is None else {"a.cu: k": {"float, int": {80: use}}}

    return budget.faults(table(use), table(known))


@pytest.mark.parametrize("what", WORSE)
def test_what_costs_more_is_a_fault(what):
    use, message = WORSE[what]
    (fault,) = _faults(use, KNOWN)
    assert fault == f"a.cu: k (float, int, sm_80): {fault.rpartition(': ')[2]}"
    assert message in fault


def test_what_costs_no_more_is_none():
    assert not _faults(KNOWN, KNOWN)
    assert not _faults(KNOWN._replace(registers=44), KNOWN)
    assert not _faults(KNOWN._replace(registers=20, shared=0, occupancy=1.0), KNOWN)


def test_new_and_forgotten_kernels_are_faults():
    assert _faults(KNOWN, None) == ["a.cu: k: not in the budget"]
    assert _faults(None, KNOWN) == ["a.cu: k: in the budget, but not in the sources"]


def test_the_table_survives_its_file():
    table = {
        "a.cu: k": {"float, int": {70: KNOWN, 80: KNOWN._replace(registers=41)}, "double, int": {80: KNOWN}}
    }
    assert budget.from_json(budget.to_json(table)) == table


@pytest.mark.parametrize("architecture", LIMITS)
def test_occupancy_has_its_limits(architecture):
    """Nothing but threads: full. One block that takes everything: its share of the warps."""
    limits = LIMITS[architecture]
    assert occupancy(architecture, 256, 16, 0) == 1.0
    assert occupancy(architecture, 256, 255, 0) == 8 / limits.warps
    half = (limits.shared - limits.reserved) // 2 + limits.shared_unit
    assert occupancy(architecture, 256, 16, half) == 8 / limits.warps
    assert occupancy(architecture, 32, 16, 0) == min(1.0, limits.blocks / limits.warps)


def test_the_command_prints_the_table():
    lines: list[str] = []
    assert budget.main(["--architectures", "90"], lines.append) == 0
    assert lines[0].startswith("sm_90")
    assert any("gemm_v5" in line for line in lines)


PTX = """
.visible .entry other(
)
{
$L__BB0_1:
\tfma.rn.f32 \t%f1, %f2, %f3, %f1;
\t@%p1 bra \t$L__BB0_1;
}
.visible .entry k(
\t.param .u64 k_param_0
)
.maxntid 96, 1, 1
{
\tld.shared.f32 \t%f9, [%r9];
$L__BB1_1:
\tld.global.f32 \t%f8, [%rd1];
$L__BB1_2:
\tld.shared.v4.f32 \t{%f1, %f2, %f3, %f4}, [%r1];
\tld.shared.f32 \t%f5, [%r2];
\tfma.rn.ftz.f32 \t%f6, %f1, %f5, %f6;
\tfma.rn.f32 \t%f7, %f2, %f5, %f7;
\t@%p1 bra \t$L__BB1_2;
\tld.shared.f32 \t%f5, [%r3];
\t@%p2 bra \t$L__BB1_1;
\tbra.uni \t$L__BB1_3;
$L__BB1_3:
\tret;
}
"""


def test_instructions_of_the_inner_loop_are_counted():
    counts = ptx.inner_loop(PTX, "k")
    assert counts == ptx.Counts(fma=2, shared_loads=2, shared_loads_128=1)
    assert counts.fma_per_load == 1
    assert ptx.count(ptx.body(PTX, "k")).shared_loads == 4
    assert ptx.inner_loop(PTX, "other").fma_per_load == float("inf")


def test_a_double_vector_has_128_bits_too():
    assert ptx.count(["ld.shared.v2.f64 {%fd1, %fd2}, [%r1];", "ld.shared.v2.f32 {%f1, %f2}, [%r1];"]) == (
        0,
        2,
        1,
    )


def test_what_is_not_there_cannot_be_counted():
    with pytest.raises(KeyError, match="no kernel missing"):
        ptx.inner_loop(PTX, "missing")
    with pytest.raises(ValueError, match="k has no loop"):
        ptx.inner_loop(".entry k(\n)\n{\nret;\n}\n", "k")


def test_threads_of_a_block_are_read_from_the_launch_bounds():
    assert budget.threads(PTX, "k") == 96
    assert budget.threads(PTX, "other") == budget.THREADS
