"""What the tests of the command line share."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Options that make a training take a second.
SMALL = (
    "--steps",
    "4",
    "--eval-every",
    "2",
    "--batch-size",
    "2",
    "--base",
    "2",
    "--depth",
    "1",
    "--lr",
    "0.02",
)


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a refusal: exactly one line on stderr, exit code 2."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.err.startswith("minidl: error: ") and self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n") and "\x1b" not in self.err
        return self.err.removeprefix("minidl: error: ").rstrip("\n")


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the contents of files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def assert_names(message: str, parts: list[str]) -> None:
    for part in parts:
        assert part in message, message
    assert ";" in message, message  # a remedy
