"""A ``.cu`` file made readable for a C++ compiler: what little of CUDA C a header cannot give a meaning to.

* ``__shared__ float tile[16][17];`` becomes a reference to a place in the block's shared memory.
* Each kernel is followed by the functions through which Python finds and starts it.
* ``#include "common.cuh"`` is followed (such a file may declare shared variables, too).

Every line stays where it was, so that the compiler's messages and the checker's findings name lines of the
file on disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path


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


_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.S)
_KERNEL = re.compile(
    r"__global__\s+(?:void\s+)?(?:__launch_bounds__\s*\((?P<bounds>[^()]*(?:\([^()]*\)[^()]*)*)\)\s*)?"
    r"(?:void\s+)?(?P<name>\w+)\s*\("
)
_TEMPLATE = re.compile(r"template\s*<[^;{}()]*>\s*(?:(?:static|inline|extern)\s+)*__global__")
_SHARED = re.compile(
    r"(?P<extern>extern\s+)?\b__shared__\s+(?P<statement>[^;{}]*(?:\{[^;]*\})?[^;{}]*);"
    r"|(?P<late>extern\s+[^;{}]*\b__shared__[^;{}]*);"
)
_ALIGN = re.compile(r"(?:__align__|alignas)\s*\(\s*[\w() ]+?\s*\)|__attribute__\s*\(\(.*?\)\)")
_DECLARATOR = re.compile(r"(?P<stars>[*\s]*)(?P<name>\w+)\s*(?P<extents>(?:\[[^\]]*\]\s*)*)")
_INCLUDE = re.compile(r'^([ \t]*#[ \t]*include[ \t]*)"([^"\n]+)"', re.M)


def without_comments(text: str) -> str:
    """The text with spaces for comments: everything else, and every line, stays where it was.

    >>> without_comments('a = "/*"; // b')
    'a = "/*";     '
    """

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        return found if found[0] in "\"'" else re.sub(r"[^\n]", " ", found)

    return _COMMENT.sub(blank, text)


def translate(text: str, file: str, folders: Sequence[Path] = ()) -> Translated:
    """Make C++ of a ``.cu`` source.

    Args:
        text: the source.
        file: its name, for messages.
        folders: where quoted includes are looked for.

    Raises:
        SourceError: the source has what cannot be run here.

    >>> translate("__global__ void f(const float* x, int n) {}", "f.cu").kernels["f"].parameters
    ('x', 'n')
    """
    headers: dict[str, str] = {}
    code, kernels = _translate_file(text, file, folders, headers)
    launchers = "".join(f"CUDA_KERNEL({k.name}, {k.bounds})\n" for k in kernels)
    code += f'\n#line 1 "launchers"\n{launchers}CUDA_SHARED_TABLE\n'
    return Translated(code, {kernel.name: kernel for kernel in kernels}, headers)


def _translate_file(
    text: str, file: str, folders: Sequence[Path], headers: dict[str, str]
) -> tuple[str, list[Kernel]]:
    code = without_comments(text)
    _refuse(code, file)
    kernels = list(_kernels(code, file))
    bodies = [(begin, end, kernel.name) for kernel, begin, end in kernels]
    code = _rewrite_shared(code, file, bodies)
    found = [kernel for kernel, _, _ in kernels]
    code = _follow_includes(code, file, folders, headers, found)
    return f"#line 1 {_quoted(file)}\n{code}", found


def _quoted(file: str) -> str:
    return '"' + file.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _line(code: str, position: int) -> int:
    return code.count("\n", 0, position) + 1


def _refuse(code: str, file: str) -> None:
    if match := _TEMPLATE.search(code):
        raise SourceError(
            f"{file}:{_line(code, match.start())}: a template cannot be a kernel here; write a __global__ "
            "function that is no template and call a template __device__ function from it, or use a macro "
            "for the type"
        )
    if match := re.search(r"<<<", code):
        raise SourceError(
            f"{file}:{_line(code, match.start())}: a launch (<<<...>>>) is the host's code; the simulator "
            "takes kernels only: leave the host's code out, or keep it in a file of its own"
        )
    if match := re.search(r"\b(texture|surface)\s*<|\btex[123]D(fetch)?\b|\basm\s*(volatile)?\s*\(", code):
        raise SourceError(f"{file}:{_line(code, match.start())}: textures and PTX assembly are not simulated")


def _kernels(code: str, file: str) -> Iterator[tuple[Kernel, int, int]]:
    """Kernels with the extent of their bodies."""
    for match in _KERNEL.finditer(code):
        closing = _closing(code, match.end() - 1, file)
        opening = re.compile(r"\s*\{").match(code, closing + 1)
        if opening is None:
            continue  # a declaration
        end = _closing(code, opening.end() - 1, file)
        parameters = tuple(_parameter_names(code[match.end() : closing]))
        yield Kernel(match["name"], parameters, (match["bounds"] or "1024").strip()), opening.end(), end


def _closing(code: str, opening: int, file: str) -> int:
    """Where the bracket at ``opening`` is closed."""
    depth = 0
    for match in re.compile(r"[()\[\]{}]").finditer(code, opening):
        depth += 1 if match.group() in "([{" else -1
        if depth == 0:
            return match.start()
    raise SourceError(f"{file}:{_line(code, opening)}: the bracket {code[opening]!r} is never closed")


def _parameter_names(text: str) -> Iterator[str]:
    for parameter in _split(text):
        words = re.findall(r"\w+", parameter.split("=")[0])
        if words and words != ["void"]:
            yield words[-1]


def _split(text: str) -> list[str]:
    """Split at commas that are in no bracket."""
    parts, depth, begin = [], 0, 0
    for position, sign in enumerate(text):
        depth += (sign in "([{<") - (sign in ")]}>")
        if sign == "," and depth == 0:
            parts.append(text[begin:position])
            begin = position + 1
    return [*parts, text[begin:]]


def _rewrite_shared(code: str, file: str, bodies: Sequence[tuple[int, int, str]]) -> str:
    def rewrite(match: re.Match[str]) -> str:
        line = _line(code, match.start())
        kernel = next((name for begin, end, name in bodies if begin <= match.start() < end), None)
        if match["late"]:
            statement, dynamic = re.sub(r"\b(extern|__shared__)\b", " ", match["late"]), True
        else:
            statement, dynamic = match["statement"], match["extern"] is not None
        inside = kernel is not None or code.count("{", 0, match.start()) > code.count("}", 0, match.start())
        new = _shared_variables(statement, f"{file}:{line}", line, kernel, dynamic, inside)
        return new + "\n" * match.group().count("\n")

    code = _SHARED.sub(rewrite, code)
    if match := re.search(r"\b__shared__\b", code):
        raise SourceError(
            f"{file}:{_line(code, match.start())}: this __shared__ declaration is not understood; write one"
            " array in a statement: __shared__ float name[16][16];"
        )
    return code


def _shared_variables(
    statement: str, place: str, line: int, kernel: str | None, dynamic: bool, inside: bool
) -> str:
    declarators = _split(_ALIGN.sub(" ", statement))
    first = re.fullmatch(
        r"\s*(?P<type>.*?[\w>])(?P<rest>[\s*]+\w+\s*(?:\[[^\]]*\]\s*)*)", declarators[0], re.S
    )
    if first is None or "=" in statement:
        why = "a shared variable cannot have an initial value" if "=" in statement else "not understood"
        raise SourceError(f"{place}: __shared__ {' '.join(statement.split())}: {why}")
    ctype = " ".join(re.sub(r"\b(volatile)\b", "", first["type"]).split())
    qualifier = "volatile " if re.search(r"\bvolatile\b", first["type"]) else ""
    new = []
    for text in (first["rest"], *declarators[1:]):
        match = _DECLARATOR.fullmatch(text)
        if match is None:
            raise SourceError(f"{place}: __shared__ {' '.join(text.split())}: not understood")
        full = qualifier + ctype + re.sub(r"\s", "", match["stars"])
        name, extents = match["name"], "".join(match["extents"].split("\n"))
        if dynamic:
            new.append(_dynamic(full, name, inside))
        elif not inside:
            raise SourceError(
                f"{place}: the shared array {name} stands outside of all functions; move it into the kernel"
            )
        else:
            new.append(_static(full, name, extents, line, kernel))
    return " ".join(new)


def _dynamic(ctype: str, name: str, inside: bool) -> str:
    if inside:
        return f"{ctype}* const {name} = ({ctype}*)cuda_on_cpu_dynamic_shared();"
    return (  # outside of functions it is asked for at each use
        f"static struct {{ operator {ctype}*() const "
        f"{{ return ({ctype}*)cuda_on_cpu_dynamic_shared(); }} }} {name};"
    )


def _static(ctype: str, name: str, extents: str, line: int, kernel: str | None) -> str:
    kept = '__attribute__((section("cuda_shared"), used)) ' if kernel else ""
    return (
        f"typedef {ctype} cuda_type_of_{name} {extents}; "
        f"static const cuda_on_cpu::SharedVariable cuda_place_of_{name} {kept}= "
        f'{{"{kernel or ""}", "{name}", sizeof(cuda_type_of_{name}), '
        f"sizeof(std::remove_all_extents_t<cuda_type_of_{name}>), {line}}}; "
        f"cuda_type_of_{name}& {name} = *(cuda_type_of_{name}*)cuda_on_cpu_shared(&cuda_place_of_{name});"
    )


def _follow_includes(
    code: str, file: str, folders: Sequence[Path], headers: dict[str, str], kernels: list[Kernel]
) -> str:
    """Translate quoted includes that are found; the compiler says which others it misses."""
    own = Path(file).parent

    def follow(match: re.Match[str]) -> str:
        for folder in (own, *folders):
            path = folder / match[2]
            if path.is_file():
                break
        else:
            return match.group()
        name = f"{len(headers)}-{path.name}"
        for known, text in headers.items():
            if text.startswith(f"#line 1 {_quoted(str(path))}\n"):
                return f'{match[1]}"{known}"'
        headers[name] = f"#line 1 {_quoted(str(path))}\n"  # before its own includes: they may come back to it
        headers[name], more = _translate_file(path.read_text(encoding="utf-8"), str(path), folders, headers)
        kernels.extend(more)
        return f'{match[1]}"{name}"'

    return _INCLUDE.sub(follow, code)
