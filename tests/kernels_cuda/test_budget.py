"""What NVIDIA's compiler makes of the kernels: registers, spills, and multiply-adds for each load."""

from __future__ import annotations

import pytest

from minidl.kernels.cuda import budget, nvrtc, ptx
from minidl.kernels.cuda.budget import Use
from minidl.kernels.cuda.occupancy import LIMITS, occupancy

#: The fastest product and the fastest convolutions, in float.
FASTEST = (
    ("gemm.cu", "gemm_v5"),
    ("conv2d_implicit.cu", "conv2d_implicit_v2"),
    ("conv2d_implicit.cu", "conv2d_implicit_backward_weight_v1"),
)
FILES = budget.sources()


@pytest.fixture(scope="module")
def compiler():
    found = nvrtc.compiler()
    if found is None:
        pytest.skip("no NVRTC 12.9 (pip install nvidia-cuda-nvrtc-cu12==12.9.86)")
    return found


def test_every_kernel_is_in_the_budget_for_every_architecture():
    table = budget.from_json(budget.BUDGET.read_text(encoding="utf-8"))
    expected: dict[str, set[tuple[str, int]]] = {}
    for job in budget.jobs(FILES):
        expected.setdefault(job.path.name, set()).add((job.types, job.architecture))
    for kernel, by_types in table.items():
        found = {(types, architecture) for types, uses in by_types.items() for architecture in uses}
        assert found == expected[kernel.partition(":")[0]], kernel
    assert {kernel.partition(":")[0] for kernel in table} == {path.name for path in FILES}
    assert not [
        kernel for kernel, t in table.items() for uses in t.values() for u in uses.values() if u.spills
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_compiles_and_keeps_its_budget(path, compiler):
    """On one architecture; `python -m minidl.kernels.cuda.budget --check` sees to the others."""
    table = budget.from_json(budget.BUDGET.read_text(encoding="utf-8"))
    own = {kernel: uses for kernel, uses in table.items() if kernel.startswith(f"{path.name}:")}
    assert not budget.faults(budget.measure(compiler, budget.jobs([path], [80])), own)


@pytest.mark.parametrize("architecture", [70, 80, 90, 120])
@pytest.mark.parametrize(("file", "kernel"), FASTEST)
def test_the_fastest_kernels_do_eight_multiply_adds_for_each_load(file, kernel, architecture, compiler):
    made = compiler.compile(nvrtc.FOLDER / file, architecture)
    counts = ptx.inner_loop(made.ptx, kernel)
    assert counts.fma >= 512
    assert counts.fma_per_load >= 8
    assert counts.shared_loads == counts.shared_loads_128


def test_the_plain_product_loads_more_than_it_multiplies(compiler):
    counts = ptx.inner_loop(compiler.compile(nvrtc.FOLDER / "gemm.cu", 80).ptx, "gemm_v3")
    assert counts.fma_per_load < 1
    assert counts.shared_loads_128 == 0


def _compile(compiler, tmp_path, text):
    path = tmp_path / "given.cu"
    path.write_text(text)
    return compiler.compile(path, 80)


def test_a_mistake_is_told_with_its_line(compiler, tmp_path):
    with pytest.raises(nvrtc.CompileError, match=r"given\.cu\(2\): error"):
        _compile(compiler, tmp_path, 'extern "C" __global__ void k(float* x) {\n    y[0] = 1;\n}\n')


def test_a_warning_is_an_error(compiler, tmp_path):
    with pytest.raises(nvrtc.CompileError, match="warning"):
        _compile(compiler, tmp_path, 'extern "C" __global__ void k(float* x) { int unused; }\n')


def test_registers_that_do_not_fit_are_seen(compiler, tmp_path):
    """60 numbers that live at once, in 32 registers."""
    text = """
extern "C" __global__ void __launch_bounds__(1024, 2) k(const float* x, float* y) {
    float a[60];
    #pragma unroll
    for (int i = 0; i < 60; ++i) a[i] = x[threadIdx.x + i * 1024];
    __syncthreads();
    #pragma unroll
    for (int i = 0; i < 60; ++i) y[threadIdx.x + i * 1024] = a[(i * 7) % 60] * a[59 - i];
}
"""
    made = _compile(compiler, tmp_path, text)
    use = budget.parse(made.log, made.ptx, 80)["k"]
    assert use.registers <= 32
    assert use.spills > 0
    assert any("spills" in fault for fault in budget.faults({"k": {"t": {80: use}}}, {"k": {"t": {80: use}}}))


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
