"""NVIDIA's compiler takes every kernel, for every architecture, and what it makes of them keeps the budget.

CI also runs ``python -m minidl.kernels.cuda.budget --check``, which compiles for all architectures.
"""

from __future__ import annotations

import pytest

from minidl.kernels.cuda import budget, nvrtc, ptx

#: The fastest product and the fastest convolutions, in float.
FASTEST = (
    ("gemm.cu", "gemm_v5"),
    ("conv2d_implicit.cu", "conv2d_implicit_v2"),
    ("conv2d_implicit.cu", "conv2d_implicit_backward_weight_v1"),
)
FILES = budget.sources()
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def _compiler(major, wheel):
    found = nvrtc.compiler(major)
    if found is None:
        pytest.skip(f"no NVRTC {major} (pip install {wheel})")
    return found


@pytest.fixture(scope="module")
def compiler():
    return _compiler(12, "nvidia-cuda-nvrtc-cu12==12.9.86")


@pytest.mark.parametrize("architecture", [75, 120])
@every_file
def test_cuda_13_compiles_it_too_and_nothing_spills(path, architecture):
    newer = _compiler(13, "nvidia-cuda-nvrtc>=13,<14")
    assert architecture in newer.architectures()
    jobs = [budget.Job(path, architecture, real, "int") for real in ("float", "double")]
    for uses in budget.measure(newer, jobs).values():
        assert not [
            use for by_architecture in uses.values() for use in by_architecture.values() if use.spills
        ]


def test_the_version_is_the_one_of_the_budget(compiler):
    assert compiler.version == nvrtc.VERSION
    assert compiler.architectures() == nvrtc.ARCHITECTURES


@every_file
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
