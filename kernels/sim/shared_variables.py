"""``__shared__`` declarations, rewritten to ask for a place in the block's shared memory."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from minidl.kernels.sim.texts import Text, split

_WORDS = re.compile(r"[;{}]|\bextern\b|\b__shared__\b")
_NESTED = r"\((?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\)"
_ALIGN = re.compile(rf"(?:__align__|alignas|__attribute__)\s*{_NESTED}")
_EXTENTS = re.compile(r"(?:\[[^\]]*+\]\s*+)*+")
_DECLARATOR = re.compile(r"(?P<stars>[*\s]*)(?P<name>\w+)\s*")


class Misunderstood(ValueError):
    """A declaration that cannot be rewritten: ``place`` in the text, and the message."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place, self.message = place, message


def rewrite(text: Text, bodies: Sequence[tuple[int, int, str]]) -> str:
    """The text with every declaration replaced; every line stays where it was.

    Args:
        text: without comments.
        bodies: of the kernels: (begin, end, name), in the text's order.

    Raises:
        Misunderstood: a declaration is.

    >>> rewrite(Text("void f() { extern __shared__ float t[]; }"), [])
    'void f() { float* const t = (float*)cuda_on_cpu_dynamic_shared(); }'
    """
    code, begins = text.code, [begin for begin, _, _ in bodies]
    parts, done = [], 0
    for begin, end in _declarations(text.bare):
        before = bisect_right(begins, begin) - 1
        kernel = bodies[before][2] if before >= 0 and begin < bodies[before][1] else None
        words = code[begin:end]
        dynamic = re.search(r"\bextern\b", words) is not None
        statement = re.sub(r"\b__shared__\b" + (r"|\bextern\b" if dynamic else ""), " ", words)
        try:
            new = _variables(
                statement, text.line(begin), kernel, dynamic, kernel is not None or text.inside(begin)
            )
        except ValueError as error:
            raise Misunderstood(begin, str(error)) from None
        parts += [code[done:begin], new, "\n" * words.count("\n")]
        done = end + 1
    return "".join([*parts, code[done:]])


def _declarations(code: str) -> Iterator[tuple[int, int]]:
    """Where each declaration begins (at its ``extern``, if that is there) and its semicolon."""
    external: int | None = None  # in the statement that is being read
    done = 0
    for match in _WORDS.finditer(code):
        word, place = match.group(), match.start()
        if place < done:
            continue
        if word == "extern":
            external = place if external is None else external
        elif word != "__shared__":
            external = None
        else:
            end = code.find(";", place)
            begin = place if external is None else external
            inner = code[place:end] if end >= 0 else ""
            if end < 0 or inner.count("{") != inner.count("}") or inner.find("}") < inner.find("{"):
                raise Misunderstood(
                    place,
                    "this __shared__ declaration is not understood; write one array in a statement: "
                    "__shared__ float name[16][16];",
                )
            yield begin, end
            done, external = end + 1, None


def _variables(statement: str, line: int, kernel: str | None, dynamic: bool, inside: bool) -> str:
    shown = f"__shared__ {' '.join(statement.split())[:200]}"
    declarators = split(_ALIGN.sub(" ", statement))
    if "=" in statement:
        raise ValueError(f"{shown}: a shared variable cannot have an initial value")
    kind, first = _first(declarators[0])
    if not kind:
        raise ValueError(f"{shown}: not understood")
    ctype = " ".join(re.sub(r"\bvolatile\b", "", kind).split())
    qualifier = "volatile " if re.search(r"\bvolatile\b", kind) else ""
    new = []
    for text in (first, *declarators[1:]):
        bracket = text.find("[")
        head, extents = (text, "") if bracket < 0 else (text[:bracket], text[bracket:])
        match = _DECLARATOR.fullmatch(head)
        if match is None or not _EXTENTS.fullmatch(extents):
            raise ValueError(f"__shared__ {' '.join(text.split())[:200]}: not understood")
        full = qualifier + ctype + re.sub(r"\s", "", match["stars"])
        name, extents = match["name"], "".join(extents.split("\n"))
        if dynamic:
            new.append(_dynamic(full, name, inside))
        elif not inside:
            raise ValueError(
                f"the shared array {name} stands outside of all functions; move it into the kernel"
            )
        else:
            new.append(_static(full, name, extents, line, kernel))
    return " ".join(new)


def _first(declarator: str) -> tuple[str, str]:
    """The type of a declaration, and its first variable with stars and extents; two times "" if neither."""
    bracket = declarator.find("[")
    head = (declarator if bracket < 0 else declarator[:bracket]).rstrip()
    name = re.match(r"\w*", head[::-1])  # backwards: a search for the end would try every letter
    assert name is not None
    before = head[: len(head) - name.end()]
    kind = before.rstrip(" \t\r\n*")
    if not name.end() or len(kind) == len(before) or not re.search(r"[\w>]\Z", kind):
        return "", ""
    return kind, declarator[len(kind) :]


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
