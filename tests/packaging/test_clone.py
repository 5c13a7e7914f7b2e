"""A plain clone: kernels/ beside minidl/ is minidl.kernels, once, and under no other name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code with the current folder importable, as ``python`` does in a clone."""
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "a clone"
    for name in ("minidl", "kernels"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_kernels_of_the_clone_are_found(clone: Path) -> None:
    done = python(
        "import minidl.kernels, minidl.kernels.reference as r, sys; "
        "assert minidl.kernels.reference is r is sys.modules['minidl.kernels.reference']; "
        "print(minidl.kernels.__file__, r.__spec__.parent, sep='|')",
        clone,
    )
    assert done.stdout.strip() == f"{clone / 'kernels' / '__init__.py'}|minidl.kernels.reference", done.stderr


def test_the_clone_wins_over_another_editable_installation(clone: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "kernels"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit('the kernels of another clone')")
    done = python(
        "import sys, importlib.util as util\n"
        "class Editable:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'minidl.kernels':\n"
        f"            return util.spec_from_file_location(name, {str(other / '__init__.py')!r})\n"
        "sys.meta_path.append(Editable)\n"
        "import minidl.kernels; print(minidl.kernels.__file__)",
        clone,
    )
    assert done.stdout.strip() == str(clone / "kernels" / "__init__.py"), done.stderr


def test_kernels_refuses_its_other_name(clone: Path) -> None:
    for statement in ("import kernels", "import kernels.reference", "from kernels import reference"):
        done = python(statement, clone)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "ImportError: this folder is the package minidl.kernels and is not importable as 'kernels':"
            " write 'import minidl.kernels'"
        )


def test_incomplete_clone_says_so(clone: Path) -> None:
    shutil.rmtree(clone / "kernels")
    done = python("import minidl", clone)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: minidl is incomplete: its folder kernels/ is neither in ")
    assert last.endswith("install minidl again, or import it from a complete clone")


def test_checkout_has_one_module_object_for_each_file(root: Path) -> None:
    done = python(
        "import sys, minidl.kernels\n"
        "from pathlib import Path\n"
        "files = [getattr(m, '__file__', None) for m in sys.modules.values()]\n"
        "ours = [f for f in files if f and Path(f).is_relative_to(Path.cwd())]\n"
        "assert len(ours) == len(set(ours)) > 2, ours",
        root,
    )
    assert done.returncode == 0, done.stderr
