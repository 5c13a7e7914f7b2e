"""The simulator's tests need a C++ compiler; in CI its absence is a failure (that skip is not allowed)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minidl.kernels.sim import KernelFault, checked, compiler
from minidl.kernels.sim.module import RawKernel, RawModule

#: What is not listed (the stand-in for CuPy) compiles nothing, or says itself what it needs.
COMPILING = (
    "test_cuda_check.py",
    "test_cuda_check_arguments.py",
    "test_cuda_check_hostile.py",
    "test_features.py",
    "test_module.py",
    "test_page.py",
    "test_planted.py",
)


@pytest.fixture(autouse=True)
def _needs_a_compiler(request: pytest.FixtureRequest) -> None:
    if request.path.name not in COMPILING:
        return
    try:
        compiler.compiler()
    except compiler.NoCompiler as error:
        pytest.skip(f"no C++ compiler: {error}")


@pytest.fixture(params=["fast", "check"])
def both_modes(request: pytest.FixtureRequest) -> Any:
    """The test runs in fast and in check mode."""
    with checked(check=request.param == "check"):
        yield request.param


@pytest.fixture
def launch() -> Callable[..., None]:
    """``launch(source, grid, block, *args, shared_mem=0, options=())`` runs a source's only kernel."""

    def run(
        source: str, grid: Any, block: Any, *args: Any, options: tuple[str, ...] = (), **more: Any
    ) -> None:
        module = RawModule(source, options=options, host_arrays=True, file="test.cu")
        (name,) = module.source.kernels
        module.get_function(name)(grid, block, args, **more)

    return run


@pytest.fixture
def findings(launch: Callable[..., None]) -> Callable[..., tuple[Any, ...]]:
    """``findings(source, grid, block, *args)`` of a launch in check mode."""

    def run(*given: Any, order: int = 0, **more: Any) -> tuple[Any, ...]:
        with checked(order, time_limit=20):
            try:
                launch(*given, **more)
            except KernelFault as fault:
                return fault.findings
        return ()

    return run


@pytest.fixture
def kernel_of() -> Callable[[str, str], RawKernel]:
    """``kernel_of(source, name)``."""
    return lambda source, name: RawKernel(source, name, host_arrays=True)


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """``call("file.cu", ...)``: ``minidl cuda-check`` in the test's folder; exit code, output, complaints."""
    from minidl.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(["cuda-check", *map(str, arguments)])
        said = capfd.readouterr()
        return (
            code,
            said.out,
            "".join(
                line
                for line in said.err.splitlines(keepends=True)
                if not line.startswith("note: the code of")
            ),
        )

    return run
