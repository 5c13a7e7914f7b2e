"""Write the matrices of Winograd's F(4x4, 3x3) as CUDA C.

``python -m minidl.kernels.cuda.winograd_matrices`` derives them (:mod:`minidl.kernels.cpu.cook_toom`), for
the same points as on the CPU. A test compares the file with what is derived.
"""

from __future__ import annotations

from minidl.kernels.cpu.cook_toom import Matrix, derive
from minidl.kernels.cuda.nvrtc import FOLDER

FILE = FOLDER / "winograd_matrices.cuh"


def _rows(matrix: Matrix) -> str:
    rows = ("{" + ", ".join(f"(REAL){float(value)!r}" for value in row) + "}" for row in matrix)
    return "{" + ", ".join(rows) + "}"


def text() -> str:
    """The whole header."""
    found = derive(4, 3)
    lines = ["// Written by winograd_matrices.py from kernels/cpu/cook_toom.py: F(4x4, 3x3)."]
    lines += [f"#define WINOGRAD_{name} {_rows(getattr(found, name))}" for name in ("AT", "G", "BT")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
