"""What every test gets: Hypothesis's profile, a fixed random state, real data if present, CI's skip rule.

Environment variables:
    MINIDL_HYPOTHESIS: ``quick`` (default), ``device``, ``ci`` or ``explore``, see below.
    MINIDL_DEVICE: ``cuda_sim`` or ``cuda``: the tensors that tests make are placed there, so that the tests
        of operations run on a device (oracles/placed.py).
    MINIDL_CI: if ``1``, a skipped test fails unless its reason begins with one of ``ALLOWED_SKIPS``.
    MINIDL_PROOF: a file, into which the run writes what it checked of every operation (``make proof``).
"""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

# The tests' products are small: BLAS threads would only wait for each other, on a busy machine very long.
# (Set before NumPy is imported; where it already is, nothing breaks, it is only slower.)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"  # real data sets lie beside the checkout, not in it

# ---------------------------------------------------------------------------------------------
# Hypothesis
# ---------------------------------------------------------------------------------------------
# quick and ci draw the same examples in every run (derandomize): a red run must say something about the
# change under test, on a stranger's machine as in CI, and be red again when repeated. New ground is covered
# by name, with MINIDL_HYPOTHESIS=explore, whose failures are kept in .hypothesis/ and become ordinary tests.
# device is for MINIDL_DEVICE, where an example takes long: few of them, and what fails is not made smaller.
# No deadline: a first call may compile a kernel, and the machines that run this are shared.
_common = hypothesis.settings(
    deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("quick", _common, max_examples=12, derandomize=True)
hypothesis.settings.register_profile(
    "device",
    _common,
    max_examples=3,
    derandomize=True,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)
hypothesis.settings.register_profile("ci", _common, max_examples=60, derandomize=True)
hypothesis.settings.register_profile("explore", _common, max_examples=1000, derandomize=False)
hypothesis.settings.load_profile(os.environ.get("MINIDL_HYPOTHESIS", "quick"))

# ---------------------------------------------------------------------------------------------
# Skips
# ---------------------------------------------------------------------------------------------
ALLOWED_SKIPS = ("no GPU", "real data absent")


def _fail_instead_of_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI everything that tests need is installed, so a skip means that something went unchecked."""
    if os.environ.get("MINIDL_CI") != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else str(where)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALLOWED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped, which MINIDL_CI=1 forbids: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_instead_of_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_instead_of_skip(report)  # pytest.importorskip at the top of a module
    return report


# ---------------------------------------------------------------------------------------------
# The counts for docs/proof.md
# ---------------------------------------------------------------------------------------------
#: Taken out of the environment: the runs that tests start count nothing, unless they ask for it themselves.
COUNTS = os.environ.pop("MINIDL_PROOF", "")


def pytest_configure(config: pytest.Config) -> None:
    global COUNTS
    COUNTS = getattr(config, "workerinput", {}).get("counts", COUNTS)  # one of several processes
    if COUNTS:
        from oracles import proof

        proof.start()  # before the tests are imported: they must see the counting operations


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist starts a process that runs a part of the tests: it counts into a file of its own."""
    path = Path(COUNTS)
    node.workerinput["counts"] = COUNTS and str(path.with_stem(f"{path.stem}-{node.gateway.id}"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if COUNTS and not session.config.getoption("numprocesses", None):  # a check that failed was not counted
        from oracles import proof

        proof.write(Path(COUNTS))


# ---------------------------------------------------------------------------------------------
# Backends: what oracles.backends.BOTH names runs with the kernels of each, all else with the default ones
# ---------------------------------------------------------------------------------------------
#: Said from outside: then everything runs on that backend, once; or on that device, where there are no two.
GIVEN_BACKEND = os.environ.get("MINIDL_BACKEND")
GIVEN_DEVICE = os.environ.get("MINIDL_DEVICE")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    from oracles import backends

    named = any("backend" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    given = GIVEN_BACKEND or GIVEN_DEVICE
    if not named and not given and backends.runs_on_both(metafunc.definition.path):
        metafunc.parametrize("backend", backends.BACKENDS, indirect=True)


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The backend that the test runs on: in its threads and in the processes that it starts, too."""
    from minidl import dispatch
    from oracles import backends

    if hasattr(request, "param"):
        monkeypatch.setenv("MINIDL_BACKEND", request.param)
        dispatch.default_backend.cache_clear()
    with backends.kernels_in_use() as used:
        yield dispatch.default_backend()
    if hasattr(request, "param"):
        monkeypatch.undo()
        dispatch.default_backend.cache_clear()
    if used and not backends.is_listed(request.path):
        pytest.fail(
            f"reaches kernels ({', '.join(sorted(used))}): list {request.path.name} in {backends.__file__}"
        )


# ---------------------------------------------------------------------------------------------
# Fixtures
# ---------------------------------------------------------------------------------------------
@pytest.fixture(autouse=True)
def _placed() -> Iterator[None]:
    """With ``MINIDL_DEVICE``, the tensors of the test live on that device."""
    if not GIVEN_DEVICE:
        yield
        return
    from oracles import devices, placed

    devices.namespace_or_skip(GIVEN_DEVICE.partition(":")[0])
    devices.compiler_or_skip()
    with placed.tensors_on(GIVEN_DEVICE):
        yield


@pytest.fixture(autouse=True)
def _fixed_random_state() -> Iterator[None]:
    """Each test starts from seed 0 and leaves no trace of its draws, whatever the order of the tests."""
    import minidl

    minidl.manual_seed(0)
    yield
    minidl.manual_seed(0)


#: What nohup, and a shell that starts something in the background, leave ignored in every process below them.
IGNORED = [
    number
    for name in ("SIGINT", "SIGHUP")
    if (number := getattr(signal, name, None)) and signal.getsignal(number) is signal.SIG_IGN
]


@pytest.fixture(autouse=True)
def _signals_of_a_terminal() -> Iterator[None]:
    """Tests send these signals, to processes that they start, too, which inherit what is ignored."""
    for number in IGNORED:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """A number of threads that a test sets holds for the whole process; "not set" cannot be set again."""
    from minidl.kernels import threads

    before = threads._count
    yield
    threads._count = before


@pytest.fixture
def xp(request: pytest.FixtureRequest) -> ModuleType:
    """A namespace of device arrays: see ``KINDS`` in oracles/devices.py. Without parameter, the stand-in."""
    from oracles import devices

    return devices.namespace_or_skip(getattr(request, "param", "cuda_sim"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """``real_data("isbi2012")`` is that data set's folder beside the checkout; if absent, the test skips."""

    def find(name: str) -> Path:
        folder = DATA / name
        if not folder.is_dir():
            pytest.skip(f"real data absent: no folder {name} in ../shared/data")
        return folder

    return find
