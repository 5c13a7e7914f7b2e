"""The page that the first person with a GPU gets, and what those without one are told."""

import doctest
from pathlib import Path

import pytest

import minidl
from oracles import gpu_report

REPORT = """<testsuites><testsuite>
<testcase classname="tests.sim.test_a" name="test_one[cuda]"/>
<testcase classname="tests.sim.test_a" name="test_two[cuda]">
<failure message="assert 1\n == 2">long</failure></testcase>
<testcase classname="tests.sim.test_b" name="test_three[cuda]">
<skipped message="no GPU beside the first"/></testcase>
</testsuite></testsuites>"""


def test_the_page_counts_and_names_what_failed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    cases = gpu_report.outcomes(report)
    text = gpu_report.page({"name": "A card", "compute_capability": "90"}, cases)
    assert "| compute capability | 90 |" in text
    assert "| tests/sim/test_a.py | 1 | 1 | 0 |" in text and "| tests/sim/test_b.py | 0 | 0 | 1 |" in text
    assert "* `tests/sim/test_a.py::test_two[cuda]`: assert 1 == 2" in text
    assert doctest.testmod(gpu_report).failed == 0


def test_without_a_gpu_it_says_so_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minidl.cuda, "is_available", lambda: False)
    monkeypatch.setattr(minidl.cuda, "why_unavailable", lambda: "cuda: no usable GPU")
    assert gpu_report.main(["--out", str(tmp_path / "page.md")]) == 2
    assert capsys.readouterr().err == "minidl: error: cuda: no usable GPU\n"
    assert not (tmp_path / "page.md").exists()


def test_the_whole_way_with_a_gpu_that_is_not_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated device in the GPU's place: tests run in their own process, and the page is written."""
    described = minidl.cuda.describe("cuda_sim")
    monkeypatch.setattr(minidl.cuda, "is_available", lambda: True)
    monkeypatch.setattr(minidl.cuda, "describe", lambda device: described)
    tests = tmp_path / "test_marked.py"
    marked = "import pytest\n\n@pytest.mark.gpu\ndef test_it():\n    pass\n\n"
    marked = "import pytest\n\n@pytest.mark.gpu\ndef test_it():\n    pass\n\n"
    tests.write_text(marked + "def test_other():\n    assert 0\n")
    out = tmp_path / "page.md"
    assert gpu_report.main(["--out", str(out), "--tests", str(tests)]) == 0
    text = out.read_text()
    assert "simulated device (CPU)" in text and "test_marked.py | 1 | 0 | 0 |" in text


@pytest.mark.gpu
def test_a_gpu_describes_itself() -> None:
    if not minidl.cuda.is_available():
        pytest.skip("no GPU")
    assert minidl.cuda.describe()["name"] and minidl.cuda.memory_statistics()["total"] > 0
