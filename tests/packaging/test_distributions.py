"""What lies in the wheel and in the sdist, and what an editable installation makes importable.

All of them are built in a copy of the checkout by the build backend itself, without a network.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest

LEFT_BEHIND = ("__pycache__", ".egg-info", ".pyc", ".nbi", ".nbc", "~", ".orig", ".rej", ".swp")

# Both imports must give the same module objects, and kernels must be found where the distribution has them.
PROBE = """
import sys, pathlib, minidl, minidl.kernels, minidl.kernels.reference
kernels = pathlib.Path(minidl.kernels.__file__).parent
assert kernels == pathlib.Path(sys.argv[1]), kernels
assert pathlib.Path(minidl.kernels.reference.__file__).parent == kernels / "reference"
assert minidl.kernels is sys.modules["minidl.kernels"] and "kernels" not in sys.modules
print(minidl.tensor([2.0, 3.0]).sum().item())
"""


def sources(folder: Path) -> set[str]:
    """Paths of the files in ``folder``, relative to it, without what Python and editors leave behind."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in files if not any(part in name for part in LEFT_BEHIND)}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command isolated from the checkout (-P: not even the current folder is importable)."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


def build(kind: str, project: Path, out: Path) -> Path:
    """Call a hook of the build backend (PEP 517), as pip does."""
    out.mkdir(parents=True, exist_ok=True)
    hook = f"import sys; from setuptools import build_meta as b; print(b.build_{kind}(sys.argv[1]))"
    return out / run(sys.executable, "-P", "-c", hook, out, cwd=project).splitlines()[-1]


def probe(prepare: str, kernels: Path, cwd: Path) -> str:
    """Import minidl as ``prepare`` makes it importable, in a Python without site-packages (-S), where another
    minidl may be installed; what minidl needs is given back as a plain folder."""
    needed = Path(numpy.__file__).parents[1]
    code = f"import sys; {prepare}; sys.path.append({str(needed)!r})\n{PROBE}"
    return run(sys.executable, "-P", "-S", "-c", code, kernels, cwd=cwd)


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the build needs, with junk added that must not be shipped."""
    copy = tmp_path_factory.mktemp("a project") / "minidl"
    names = "pyproject.toml setup.py MANIFEST.in README.md LICENSE CHANGELOG.md Makefile"
    copy.mkdir()
    for name in names.split():
        shutil.copy(root / name, copy)
    for name in ("minidl", "kernels", "tests", ".ci"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (copy / "minidl", copy / "kernels", copy / "kernels" / "reference"):
        cache = folder / "__pycache__"
        cache.mkdir()
        (cache / "left.cpython-311.pyc").write_bytes(b"junk")
        (cache / "left.nbi").write_bytes(b"junk")
        (folder / "left.py.orig").write_text("junk")
    return copy


@pytest.fixture(scope="module")
def wheel(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", project, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked, as an installation leaves it."""
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(site)
    return site


def test_wheel_has_every_source_of_both_folders(root: Path, installed: Path) -> None:
    expected = sources(root / "minidl") | {f"kernels/{name}" for name in sources(root / "kernels")}
    assert {"__init__.py", "py.typed", "kernels/__init__.py"} <= expected
    assert sources(installed / "minidl") == expected
    shipped = {path.name for path in installed.rglob("*") if path.is_file()}
    assert not {name for name in shipped if name.startswith("left.")}


def test_wheel_installs_one_package_only(installed: Path) -> None:
    assert {path.name for path in installed.iterdir()} == {"minidl", "minidl-0.1.0.dist-info"}


def test_sources_of_other_languages_are_shipped_too(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "minidl"
    shutil.copytree(project, copy)
    (copy / "kernels" / "new" / "device").mkdir(parents=True)
    for name in ("new/conv.cu", "new/device/tile.h", "new/loop.cpp"):
        (copy / "kernels" / name).write_text("// source\n")
    with zipfile.ZipFile(build("wheel", copy, tmp_path / "out")) as archive:
        names = set(archive.namelist())
    assert {f"minidl/kernels/new/{n}" for n in ("conv.cu", "device/tile.h", "loop.cpp")} <= names


def test_wheel_metadata(installed: Path) -> None:
    from email.parser import Parser

    import minidl

    info = installed / "minidl-0.1.0.dist-info"
    metadata = Parser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
    assert metadata["Name"] == "minidl"
    assert metadata["Version"] == minidl.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    extras = {"cuda12x", "cuda13x", "test", "parity", "bench", "lint", "audit"}
    assert set(metadata.get_all("Provides-Extra")) == extras
    assert (info / "licenses" / "LICENSE").is_file()
    assert "minidl = minidl.cli:entry" in (info / "entry_points.txt").read_text()


def test_installed_wheel_imports(installed: Path, tmp_path: Path) -> None:
    prepare = f"sys.path.append({str(installed)!r})"
    assert probe(prepare, kernels=installed / "minidl" / "kernels", cwd=tmp_path) == "5.0"


def test_sdist_builds_the_same_wheel(project: Path, installed: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(build("sdist", project, tmp_path / "sdist"), tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    for name in ("README.md", "LICENSE", "Makefile", "tests/conftest.py", "kernels/__init__.py", ".ci/run"):
        assert (unpacked / name).is_file(), name
    with zipfile.ZipFile(build("wheel", unpacked, tmp_path / "wheel")) as archive:
        archive.extractall(tmp_path / "site")
    assert sources(tmp_path / "site" / "minidl") == sources(installed / "minidl")


def test_editable_installation_uses_the_clone(project: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(build("editable", project, tmp_path / "out")) as archive:
        archive.extractall(site)
    # addsitedir reads the .pth file, as Python does with the one in site-packages.
    prepare = f"import site; site.addsitedir({str(site)!r})"
    assert probe(prepare, kernels=project / "kernels", cwd=tmp_path) == "5.0"
