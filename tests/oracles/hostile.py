"""``minidl cuda-check`` called on what means no good: an ordinary kernel, and what a refusal looks like."""

from __future__ import annotations

FINE = 'extern "C" __global__ void fine(int* x) { x[threadIdx.x] = 1; }\n'
SMALL = ["--grid", 1, "--block", 8, "--arg", "x=int32:64:zeros", "--no-counts"]


def refused(given: tuple[int, str, str], *words: str) -> None:
    """One line, exit code 2."""
    code, _, err = given
    assert code == 2 and err.startswith("minidl: error: ") and err.count("\n") == 1, given
    for word in words:
        assert word in err, (word, err)
