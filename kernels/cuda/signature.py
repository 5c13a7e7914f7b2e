"""What a ``.cu`` file says of its kernels: parameters, the largest block, dynamic shared memory.

Read from the text, since that is what both NVIDIA's compiler and the simulator get. Understood is what our
kernels are written in: ``extern "C" __global__ void name(parameters)``, optionally with
``__launch_bounds__(N)``; a parameter is a number, or a pointer to numbers or to vectors of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

#: C types of scalar parameters and of what pointers point to. REAL and INDEX are macros: see launch.py.
TYPES = {
    "bool": "bool",
    "char": "int8",
    "signed char": "int8",
    "unsigned char": "uint8",
    "short": "int16",
    "unsigned short": "uint16",
    "int": "int32",
    "unsigned": "uint32",
    "unsigned int": "uint32",
    "long long": "int64",
    "unsigned long long": "uint64",
    "float": "float32",
    "double": "float64",
    "float2": "float32",
    "float4": "float32",
    "double2": "float64",
    "int2": "int32",
    "int4": "int32",
}
#: A vector is read at once: its address must be a multiple of its size.
ALIGNMENT = {"float2": 8, "float4": 16, "double2": 16, "int2": 8, "int4": 16, "VECTOR": 16}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    Attributes:
        name: as in the source.
        ctype: of the number, or of what the pointer points to: a key of TYPES, or REAL, INDEX, VECTOR.
        pointer: whether an array is wanted.
        constant: whether the kernel only reads through the pointer.
        nullable: whether the source says that None may be given.
    """

    name: str
    ctype: str
    pointer: bool
    constant: bool
    nullable: bool

    def dtype(self, macros: dict[str, str]) -> np.dtype[np.generic]:
        """The element type, where ``macros`` says what REAL and INDEX stand for."""
        ctype = "REAL" if self.ctype == "VECTOR" else self.ctype
        return np.dtype(TYPES[macros.get(ctype, ctype)])

    def __str__(self) -> str:
        return f"{'const ' * self.constant}{self.ctype}{'*' * self.pointer} {self.name}"


@dataclass(frozen=True)
class Signature:
    """What a launch of one kernel must agree with.

    Attributes:
        name: of the kernel.
        parameters: in order.
        max_threads: of a block, as ``__launch_bounds__`` says; None if it says nothing.
        dynamic_shared: whether the kernel has an ``extern __shared__`` array, whose bytes the launch gives.
    """

    name: str
    parameters: tuple[Parameter, ...]
    max_threads: str | None
    dynamic_shared: bool

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.parameters))})"


class SignatureError(ValueError):
    """The source has a kernel whose declaration is not understood."""


_KERNEL = re.compile(
    r"__global__\s+(?:void\s+)?(?:__launch_bounds__\s*\(\s*(?P<bounds>[^()]*(?:\([^()]*\))?[^()]*)\)\s*)?"
    r"(?:void\s+)?(?P<name>\w+)\s*\("
)


def without_comments(source: str) -> str:
    """The source with spaces for comments: every other character, and every line, stays where it was."""

    def blank(match: re.Match[str]) -> str:
        text = match.group()
        return text if text[0] in "\"'" else re.sub(r"[^\n]", " ", text)

    return re.sub(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', blank, source, flags=re.S)


def signatures(source: str) -> dict[str, Signature]:
    """The kernels of a source, by name.

    Raises:
        SignatureError: a parameter is of a type that cannot be checked.

    >>> s = signatures("extern \\"C\\" __global__ void scale(const REAL* x, REAL* y, INDEX n) { }")["scale"]
    >>> print(s)
    scale(const REAL* x, REAL* y, INDEX n)
    """
    code = without_comments(source)
    found = {}
    for match in _KERNEL.finditer(code):
        begin = match.end()
        end = begin + _closing(code[begin:], "(", ")")
        body = code.find("{", end)
        semicolon = code.find(";", end)
        if body < 0 or 0 <= semicolon < body:
            continue  # a declaration only
        body_end = body + 1 + _closing(code[body + 1 :], "{", "}")
        name, bounds = match["name"], match["bounds"]
        found[name] = Signature(
            name,
            tuple(_parameters(name, source, code, begin, end)),
            bounds.split(",")[0].strip() if bounds else None,
            re.search(r"\bextern\s+__shared__", code[body:body_end]) is not None,
        )
    return found


def _closing(code: str, opening: str, closing: str) -> int:
    """Where the bracket closes that was opened just before."""
    depth = 1
    for at, sign in enumerate(code):
        depth += (sign == opening) - (sign == closing)
        if depth == 0:
            return at
    raise SignatureError(f"a {opening!r} is never closed")


def _parameters(kernel: str, source: str, code: str, begin: int, end: int) -> list[Parameter]:
    """The parameters between two places of the text.

    A comment belongs to the parameter that it stands in or before, or behind, at the end of the line.
    """
    if code[begin:end].strip() in ("", "void"):
        return []
    parameters = []
    text_at = comment_at = begin
    for text in code[begin:end].split(","):
        stop = comment_stop = text_at + len(text)
        line_end = source.find("\n", stop)
        if stop < end and not code[stop + 1 : line_end].strip():
            comment_stop = line_end
        parameters.append(_parameter(kernel, text, source[comment_at:comment_stop]))
        text_at, comment_at = stop + 1, comment_stop
    return parameters


def _parameter(kernel: str, text: str, comment: str) -> Parameter:
    words = re.findall(r"\w+|\*", text.replace("__restrict__", " "))
    name, pointer = words[-1], words.count("*")
    ctype = " ".join(w for w in words[:-1] if w not in ("*", "const", "volatile"))
    if (ctype not in TYPES and ctype not in ("REAL", "INDEX", "VECTOR")) or pointer > 1:
        raise SignatureError(f"{kernel}: parameter '{' '.join(text.split())}': its type cannot be checked")
    nullable = re.search(r"(?://|/\*).*?\bor null\b", comment, flags=re.S) is not None
    constant = pointer == 1 and "const" in words[: words.index("*")]
    return Parameter(name, ctype, pointer == 1, constant, nullable)
