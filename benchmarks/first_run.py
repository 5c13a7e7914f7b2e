"""Record what a first run shows, on a terminal of 80 columns and in a file, for docs/command-line.md.

    python benchmarks/first_run.py [--steps 60]

Each of the two has an empty cache of compiled kernels, as after an installation, and a folder of its own. Of
lines all are kept, of the bar the first look in each phase and one in every minute; each with the seconds
since the start.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from minidl._atomic import atomic_write

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "command-line.md"
BEGIN, END = "<!-- first run: begin (benchmarks/first_run.py) -->", "<!-- first run: end -->"
COLUMNS = 80
#: Seconds between two looks at the bar.
LOOK = 60.0


def command(steps: int) -> list[str]:
    """What is recorded."""
    return ["demo", "--out", "demo-run", "--steps", str(steps)]


def start(steps: int, folder: str, output: int) -> subprocess.Popen[bytes]:
    """The command with nothing compiled before, its output into a file or a terminal."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": f"{folder}/kernels", "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    words = [sys.executable, "-m", "minidl", *command(steps)]
    return subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)


def pieces(steps: int, terminal: bool) -> Iterator[tuple[float, str]]:
    """What is written, with the seconds since the start."""
    inside, outside = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(outside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = start(steps, folder, outside)
        os.close(outside)
        decoder = codecs.getincrementaldecoder("utf-8")()
        while True:
            try:
                part = os.read(inside, 65536)
            except OSError:  # the other end of a terminal is closed
                break
            if not part:
                break
            yield time.monotonic() - began, decoder.decode(part)
        os.close(inside)
        if process.wait():
            raise SystemExit(f"the command ended with exit code {process.returncode}")


def looks(found: Iterator[tuple[float, str]]) -> list[str]:
    """Every line, and the bar once in a while."""
    shown, line, last, before = [], "", -LOOK, None
    for seconds, text in found:
        for character in re.findall(r"\r\n|\r|\n|[^\r\n]+", text):
            if character in ("\r\n", "\n"):
                if line.strip():
                    shown.append(f"{seconds:4.0f} s  {line.rstrip()}")
                line = ""
            elif character == "\r":
                line = ""
            else:
                line += character
        phase = line.split(" ")[0], "compiling" in line
        if "|" in line and (phase != before or seconds - last >= LOOK):
            shown.append(f"{seconds:4.0f} s  {line.rstrip()}")
            last, before = seconds, phase
    return shown


def section(steps: int) -> str:
    """What belongs between the marks."""
    words = " ".join(["minidl", *command(steps)])
    titles = {
        True: f"`{words}` on a terminal of {COLUMNS} columns, the bar in each phase, every {LOOK:.0f} s:",
        False: f"and into a file (`{words} > log`):",
    }
    return "\n".join(
        f"{title}\n\n```text\n" + "\n".join(looks(pieces(steps, terminal))) + "\n```\n"
        for terminal, title in titles.items()
    )


def main() -> None:
    """Write the section into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="steps of the training")
    text = section(parser.parse_args().steps)
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    atomic_write(PAGE, f"{before}{BEGIN}\n\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
