"""One small mistake at a time: operators, bounds, barriers, indices, strides, constants of a ``.cu`` file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from minidl.kernels.cuda.signature import without_comments

#: Kind, what is looked for (the first group is replaced), what comes in its place.
RULES = (
    ("bound", r" (<) ", "<="),
    ("bound", r" (<=) ", "<"),
    ("bound", r" (>) ", ">="),
    ("bound", r" (>=) ", ">"),
    ("comparison", r" (==) ", "!="),
    ("comparison", r" (!=) ", "=="),
    ("operator", r" (\+) ", "-"),
    ("operator", r" (-) ", "+"),
    ("operator", r" (\*) ", "/"),
    ("operator", r" (/) ", "*"),
    ("operator", r" (%) ", "/"),
    ("operator", r" (\+=) ", "-="),
    ("operator", r" (-=) ", "+="),
    ("operator", r" (&&) ", "||"),
    ("operator", r" (\|\|) ", "&&"),
    ("barrier", r"(__syncthreads\(\);)", ";"),
    ("constant", r"(?<![\w.])(0)(?![\w.])", "1"),
    ("constant", r"(?<![\w.])(1)(?![\w.])", "2"),
    ("constant", r"(?<![\w.])(2)(?![\w.])", "1"),
    ("index", r"(?<=[\w\])])(\])(?! *=? *\{)(?!;\s*$)", " + 1]"),
    ("stride", r"\b(threadIdx\.x)\b", "threadIdx.y"),
    ("stride", r"\b(blockDim\.[xy])\b", "blockDim.z"),
    ("stride", r"\b(gridDim\.[xyz])\b", "1"),
)
#: Lines that are not code of a kernel's body: declarations of parameters and arrays, macros.
NO_BODY = re.compile(r'^\s*#|extern "C"|__restrict__|__shared__|__forceinline__|^\s*(?:const )?REAL \w+\[')


@dataclass(frozen=True)
class Mutant:
    """A file with one change.

    Attributes:
        file: its name without ``.cu``.
        line: where, from 1.
        kind: which sort of mistake.
        before, after: the line.
        source: the whole file.
    """

    file: str
    line: int
    kind: str
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        """Names the mutant as long as the file's code (not its comments) is what it was."""
        code = " ".join(without_comments(self.source).split())
        return hashlib.sha256(f"{self.file}|{code}".encode()).hexdigest()[:16]


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """All mutants of a source, line by line."""
    lines, code = source.split("\n"), without_comments(source).split("\n")
    for number, text in enumerate(code):
        if NO_BODY.search(text) or text.lstrip().startswith("for (INDEX at = first_index()"):
            continue  # the last: a grid-stride loop's steps are the same in every kernel
        for kind, pattern, instead in RULES:
            for match in re.finditer(pattern, text):
                changed = lines[number][: match.start(1)] + instead + lines[number][match.end(1) :]
                mutated = "\n".join((*lines[:number], changed, *lines[number + 1 :]))
                yield Mutant(file, number + 1, kind, lines[number].strip(), changed.strip(), mutated)
