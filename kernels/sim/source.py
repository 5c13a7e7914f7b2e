"""A ``.cu`` file made readable for a C++ compiler: what little of CUDA C a header cannot give a meaning to.

* ``__shared__ float tile[16][17];`` becomes a reference to a place in the block's shared memory.
* Each kernel is followed by the functions through which Python finds and starts it.
* ``#include "common.cuh"`` is followed (such a file may declare shared variables, too).

Every line stays where it was, so that the compiler's messages and the checker's findings name lines of the
file on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minidl.kernels.sim import shared_variables
from minidl.kernels.sim.texts import Text, split, without_comments


class SourceError(ValueError):
    """The source has something that the simulator cannot run; the message names file and line."""


@dataclass(frozen=True)
class Kernel:
    """What the text says of a kernel: its parameters' names and the text in ``__launch_bounds__(...)``."""

    name: str
    parameters: tuple[str, ...]
    bounds: str


@dataclass
class Translated:
    """A source ready for the compiler.

    Attributes:
        text: C++.
        kernels: by name.
        headers: text of the files that it includes, by the name under which the text includes them.
    """

    text: str
    kernels: dict[str, Kernel]
    headers: dict[str, str] = field(default_factory=dict)


_KERNEL = re.compile(
    r"__global__\s+(?:void\s+)?(?:__launch_bounds__\s*\((?P<bounds>[^()]*(?:\([^()]*\)[^()]*)*)\)\s*)?"
    r"(?:void\s+)?(?P<name>\w+)\s*\("
)
_OPENING = re.compile(r"\s*\{")
_TEMPLATE = re.compile(r"template\s*<[^()]*>\s*(?:(?:static|inline|extern)\s+)*__global__")
_FOREIGN = re.compile(r"\b(texture|surface)\s*<|\btex[123]D(fetch)?\b|\b(asm|__asm__|__asm)\b")
_OURS = re.compile(r"\b(?:cuda_on_cpu|__tsan_|__ubsan_)\w*")
_INCLUDE = re.compile(r'^([ \t]*#[ \t]*include[ \t]*)(?:"([^"\n]+)"|<([^>\n]+)>)', re.M)

#: Of a file's text, so many bytes are read; so many files may be included, and so deep in one another.
FILE_BYTES, HEADERS, DEPTH = 2**20, 200, 32


def read_file(path: Path) -> str:
    """The text of a file, if it is one, and of no more than :data:`FILE_BYTES`.

    Raises:
        SourceError: it is something else, or larger.
        UnicodeDecodeError: it is no text.
        OSError: it cannot be read.
    """
    if not path.is_file():  # a pipe would be waited for, a device has no end
        raise SourceError(f"{path}: no regular file; give the name of a CUDA C source")
    with path.open("rb") as file:
        data = file.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise SourceError(
            f"{path}: more than {FILE_BYTES} bytes, which is no CUDA C source; is it the right file?"
        )
    return data.decode("utf-8")


def translate(
    text: str, file: str, folders: Sequence[Path] = (), read: Callable[[Path], str] = read_file
) -> Translated:
    """Make C++ of a ``.cu`` source.

    Args:
        text: the source.
        file: its name, for messages.
        folders: where quoted includes are looked for.
        read: the text of a file that is included.

    Raises:
        SourceError: the source has what cannot be run here.

    >>> translate("__global__ void f(const float* x, int n) {}", "f.cu").kernels["f"].parameters
    ('x', 'n')
    """
    reading = _Reading(folders, read)
    code = reading.translated(text, file, 0)
    launchers = "".join(f"CUDA_KERNEL({k.name}, {k.bounds})\n" for k in reading.kernels)
    code += f'\n#line 1 "launchers"\n{launchers}CUDA_SHARED_TABLE\n'
    return Translated(code, {kernel.name: kernel for kernel in reading.kernels}, reading.headers)


class _Reading:
    """A source and the files that it includes."""

    def __init__(self, folders: Sequence[Path], read: Callable[[Path], str]) -> None:
        self.folders, self.read = folders, read
        self.kernels: list[Kernel] = []
        self.headers: dict[str, str] = {}
        self._names: dict[str, str] = {}  # of headers, by their paths

    def translated(self, code: str, file: str, depth: int) -> str:
        """A file's text as C++."""
        text = Text(without_comments(code))
        _refuse(text, file)
        kernels = list(_kernels(text, file))
        bodies = [(begin, end, kernel.name) for kernel, begin, end in kernels]
        try:
            new = shared_variables.rewrite(text, bodies)
        except shared_variables.Misunderstood as error:
            raise SourceError(f"{file}:{text.line(error.place)}: {error.message}") from None
        self.kernels += [kernel for kernel, _, _ in kernels]
        new = _INCLUDE.sub(lambda match: self._followed(match, file, depth), new)
        return f"#line 1 {_quoted(file)}\n{new}"

    def _followed(self, match: re.Match[str], file: str, depth: int) -> str:
        """A quoted include that is found, translated; the compiler says which others it misses."""
        quoted = match[2] is not None
        name = match[2] or match[3]
        own = [Path(file).parent] if quoted or Path(name).is_absolute() else []
        path = next((p for folder in (*own, *self.folders) if _is_there(p := folder / name)), None)
        if path is None:
            return match.group()
        if not quoted:  # the compiler's to read, but it would wait for a pipe, and read a device for ever
            if not path.is_file():
                self.read(path)
            return match.group()
        if str(path) not in self._names:
            if len(self.headers) >= HEADERS or depth >= DEPTH:
                raise SourceError(
                    f"{path}: more than {HEADERS} files are included, or more than {DEPTH} deep"
                )
            name = f"{len(self.headers)}-{re.sub(r'[^A-Za-z0-9_.]', '_', path.name[-80:])}"
            self._names[str(path)] = name
            self.headers[name] = ""  # before its own includes: they may come back to it
            self.headers[name] = self.translated(self.read(path), str(path), depth + 1)
        return f'{match[1]}"{self._names[str(path)]}"'


def _is_there(path: Path) -> bool:
    """Whether anything but a folder has this name."""
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):  # no file can have it
        return False


def _quoted(file: str) -> str:
    seen = "".join(c if c.isprintable() else "?" for c in file)
    return '"' + seen.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refuse(text: Text, file: str) -> None:
    code = text.bare
    if (place := _template_kernel(code)) is not None:
        raise SourceError(
            f"{file}:{text.line(place)}: a template cannot be a kernel here; write a __global__ "
            "function that is no template and call a template __device__ function from it, or use a macro "
            "for the type"
        )
    if (place := code.find("<<<")) >= 0:
        raise SourceError(
            f"{file}:{text.line(place)}: a launch (<<<...>>>) is the host's code; the simulator "
            "takes kernels only: leave the host's code out, or keep it in a file of its own"
        )
    if match := _FOREIGN.search(code):
        raise SourceError(f"{file}:{text.line(match.start())}: textures and PTX assembly are not simulated")
    if match := _OURS.search(code):
        line, name = text.line(match.start()), match.group()[:80]
        raise SourceError(f"{file}:{line}: {name} is a name of the simulator's own; use another")


def _template_kernel(code: str) -> int | None:
    """Where a kernel that is a template begins. Each statement is looked at once."""
    begin = 0
    for statement in re.split(r"[;{}]", code):
        word = statement.find("__global__")
        template = statement.rfind("template", 0, word) if word >= 0 else -1
        if template >= 0 and _TEMPLATE.match(statement, template):
            return begin + template
        begin += len(statement) + 1
    return None


def _kernels(text: Text, file: str) -> Iterator[tuple[Kernel, int, int]]:
    """Kernels with the extent of their bodies."""
    code = text.bare
    for match in _KERNEL.finditer(code):
        closing = _closing(text, match.end() - 1, file)
        opening = _OPENING.match(code, closing + 1)
        if opening is None:
            continue  # a declaration
        end = _closing(text, opening.end() - 1, file)
        parameters = tuple(_parameter_names(code[match.end() : closing]))
        yield Kernel(match["name"], parameters, (match["bounds"] or "1024").strip()), opening.end(), end


def _closing(text: Text, opening: int, file: str) -> int:
    closing = text.closing(opening)
    if closing is None:
        raise SourceError(f"{file}:{text.line(opening)}: the bracket {text.code[opening]!r} is never closed")
    return closing


def _parameter_names(text: str) -> Iterator[str]:
    for parameter in split(text):
        words = re.findall(r"\w+", parameter.split("=")[0])
        if words and words != ["void"]:
            yield words[-1]
