"""The changes: every place in a source text where an operator applies, and the text with that one change.

A change is a few edits of the text, so that everything else, line numbers included, stays as it is. What can
be no mistake of the library is left alone: docstrings and other strings, type hints, the arguments of a
``raise`` (they are the message), ``assert``, and two keyword arguments that change no value: ``strict=`` of
``zip`` (an assertion) and ``copy=`` of ``astype`` (speed).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from mutation.source import Source

#: (first byte, byte after the last, new text), in the UTF-8 text.
Edit = tuple[int, int, str]

BINARY = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.MatMult: ("@", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "|"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
COMPARISON = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
#: Calls whose first two arguments may be exchanged without a difference, or which only raise if they are.
SYMMETRIC = {
    *("min", "max", "minimum", "maximum", "fmin", "fmax", "add", "multiply"),
    *("equal", "not_equal", "array_equal", "logical_and", "logical_or"),
    *("may_share_memory", "shares_memory", "broadcast_shapes", "zip"),
    *("isinstance", "issubclass", "getattr", "hasattr", "partial"),
}

#: Arguments that say along which axes, and how exactly, an array function works.
KEYWORDS = {"axis", "axes", "dim", "keepdims", "keepdim", "dtype", "initial"}
UNTOUCHED_KEYWORDS = {"strict", "copy"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str  # as in the repository
    operator: str
    line: int
    before: str  # the first changed line, without indentation
    after: str
    function: str | None  # the outermost function around it (qualified name); None where import runs it
    first: int  # the line where that function begins
    rank: int  # which of the functions of that name in the file, from 0
    reach: tuple[int, int]  # a test that runs none of these lines cannot notice
    edits: tuple[Edit, ...]
    twin: int  # tells changes apart that read the same

    @property
    def name(self) -> str:
        """What results are stored under; it does not depend on the line number."""
        return "\t".join(
            (self.file, self.function or "", self.operator, self.before, self.after, str(self.twin))
        )

    def apply(self, text: str) -> str:
        """The text with the change."""
        return apply_edits(text, self.edits)


def apply_edits(text: str, edits: tuple[Edit, ...]) -> str:
    raw = text.encode()
    for start, end, new in sorted(edits, reverse=True):
        raw = raw[:start] + new.encode() + raw[end:]
    return raw.decode()


def mutants(file: str, text: str) -> list[Mutant]:
    """Every mutant of a file, in the order of the text."""
    source = Source(text)
    found: list[Mutant] = []
    seen: dict[tuple[str, ...], int] = {}
    for node, operator, edits in sorted(Finder(source).found(), key=lambda row: (row[0].lineno, row[2])):
        changed = apply_edits(text, edits)
        line = source.line_number(edits[0][0])
        before, after = source.lines[line - 1].strip(), changed.splitlines()[line - 1].strip()
        function, first, rank, reach = source.place(node)
        key = (function or "", operator, before, after)
        seen[key] = seen.get(key, -1) + 1
        found.append(
            Mutant(file, operator, line, before, after, function, first, rank, reach, edits, twin=seen[key])
        )
    return found


class Finder:
    """All (node, operator, edits) of a source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.left_alone = set(self._left_alone())

    def _left_alone(self) -> Iterator[ast.AST]:
        for node in ast.walk(self.source.tree):
            parts: list[ast.AST | None] = []
            if isinstance(node, ast.FunctionDef):
                arguments = node.args
                every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
                every += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
                parts = [node.returns, *(a.annotation for a in every)]
            elif isinstance(node, ast.AnnAssign):
                parts = [node.annotation]
            elif isinstance(node, ast.Raise):
                parts = [node.exc, node.cause]
            elif isinstance(node, ast.JoinedStr | ast.Assert):
                parts = [node]
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                parts = [node.args[1]]  # types, joined by |
            elif isinstance(node, ast.keyword) and node.arg in UNTOUCHED_KEYWORDS:
                parts = [node.value]
            elif self._is_for_type_checkers(node):
                parts = [node]
            for part in parts:
                if part is not None:
                    yield from ast.walk(part)

    def _is_for_type_checkers(self, node: ast.AST) -> bool:
        """``if TYPE_CHECKING:``, and in a module ``Pair = tuple[int, int]`` and the like: names of types."""
        if isinstance(node, ast.If):
            return ast.unparse(node.test) == "TYPE_CHECKING"
        name = node.targets[0] if isinstance(node, ast.Assign) else None
        return (
            isinstance(self.source.parent.get(node), ast.Module)
            and isinstance(name, ast.Name)
            and name.id[0].isupper()
            and not name.id.isupper()
        )

    def found(self) -> Iterator[tuple[ast.AST, str, tuple[Edit, ...]]]:
        for node in ast.walk(self.source.tree):
            if node in self.left_alone or not hasattr(node, "lineno"):
                continue
            for kind in type(node).__mro__:
                method = getattr(self, f"_{kind.__name__}", None)
                if method is not None:
                    for operator, edits in method(node):
                        yield node, operator, tuple(edits)

    # -- expressions -----------------------------------------------------------------------------------------

    def _wrapped(self, node: ast.AST, *edits: Edit) -> list[Edit]:
        """Edits within brackets around the node: the new operator may bind less tightly than the old one."""
        start, end = self.source.start(node), self.source.end(node)
        return [(start, start, "("), *edits, (end, end, ")")]

    def _BinOp(self, node: ast.BinOp) -> Iterator[tuple[str, list[Edit]]]:
        old, new = BINARY[type(node.op)]
        edit = (*self.source.between(node.left, node.right, old), new)
        tight = {"+", "-"} <= {old, new}
        yield "arithmetic", [edit] if tight else self._wrapped(node, edit)

    def _Compare(self, node: ast.Compare) -> Iterator[tuple[str, list[Edit]]]:
        lefts = [node.left, *node.comparators]
        for left, right, op in zip(lefts, node.comparators, node.ops, strict=False):
            old, new = COMPARISON[type(op)]
            yield "comparison", [(*self.source.between(left, right, old), new)]

    def _BoolOp(self, node: ast.BoolOp) -> Iterator[tuple[str, list[Edit]]]:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        pairs = zip(node.values, node.values[1:], strict=False)
        edits: list[Edit] = [(*self.source.between(a, b, old), new) for a, b in pairs]
        yield "boolean", self._wrapped(node, *edits)

    def _UnaryOp(self, node: ast.UnaryOp) -> Iterator[tuple[str, list[Edit]]]:
        start = self.source.start(node)
        yield "sign, not", [(start, start + (len("not ") if isinstance(node.op, ast.Not) else 1), "")]

    def _IfExp(self, node: ast.IfExp) -> Iterator[tuple[str, list[Edit]]]:
        yield from self._negated(node.test)

    def _negated(self, test: ast.expr) -> Iterator[tuple[str, list[Edit]]]:
        """The branches exchanged; where the test is ``==`` or the like, "comparison" already does that."""
        if isinstance(test, ast.Compare) and not isinstance(test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            return
        yield (
            "branches",
            [
                (self.source.start(test), self.source.start(test), "(not ("),
                (self.source.end(test), self.source.end(test), "))"),
            ],
        )

    def _Constant(self, node: ast.Constant) -> Iterator[tuple[str, list[Edit]]]:
        value, place = node.value, (self.source.start(node), self.source.end(node))
        if isinstance(value, bool):
            yield "constant", [(*place, str(not value))]
        elif isinstance(value, int | float):
            if not self._is_any_extent(node):
                yield "constant", [(*place, repr(value + 1))]
            if value == 1:
                yield "constant", [(*place, repr(value - 1))]

    def _is_any_extent(self, node: ast.Constant) -> bool:
        """The 1 of ``reshape(n, -1)``: NumPy works out the extent for any negative number."""
        minus, call = next(around := self.source.above(node)), next(around, None)
        while isinstance(call, ast.Tuple | ast.List):
            call = next(around, None)
        reshapes = isinstance(call, ast.Call) and ast.unparse(call.func).endswith("reshape")
        return isinstance(minus, ast.UnaryOp) and isinstance(minus.op, ast.USub) and reshapes

    def _Slice(self, node: ast.Slice) -> Iterator[tuple[str, list[Edit]]]:
        for bound in (node.lower, node.upper, node.step):
            if bound is not None:
                yield "slice", [(self.source.start(bound), self.source.end(bound), "")]

    def _Call(self, node: ast.Call) -> Iterator[tuple[str, list[Edit]]]:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for keyword in node.keywords:
            # The options of a Function have no defaults: leaving one out is a TypeError in every test.
            if keyword.arg in KEYWORDS and called != "apply":
                yield "keyword", [self._without(keyword, [*node.args, *node.keywords])]
        if len(node.args) >= 2 and called not in SYMMETRIC:
            a, b = node.args[:2]
            texts = {self.source.segment(a), self.source.segment(b)}
            if len(texts) == 2 and not isinstance(a, ast.Starred) and not isinstance(b, ast.Starred):
                yield (
                    "arguments",
                    [
                        (self.source.start(a), self.source.end(a), self.source.segment(b)),
                        (self.source.start(b), self.source.end(b), self.source.segment(a)),
                    ],
                )

    def _without(self, keyword: ast.keyword, others: list[ast.expr | ast.keyword]) -> Edit:
        index = others.index(keyword)
        if index:
            return self.source.raw.rindex(b",", 0, self.source.start(keyword)), self.source.end(keyword), ""
        end = self.source.start(others[1]) if len(others) > 1 else self.source.end(keyword)
        return self.source.start(keyword), end, ""

    # -- statements ------------------------------------------------------------------------------------------

    def _gone(self, node: ast.stmt) -> list[Edit]:
        start, end = self.source.start(node), self.source.end(node)
        return [(start, end, "pass" + "\n" * self.source.raw.count(b"\n", start, end))]

    def _If(self, node: ast.If) -> Iterator[tuple[str, list[Edit]]]:
        yield from self._negated(node.test)

    def _AugAssign(self, node: ast.AugAssign) -> Iterator[tuple[str, list[Edit]]]:
        old, new = BINARY[type(node.op)]
        place = self.source.between(node.target, node.value, old + "=")
        yield "arithmetic", [(*place, new + "=")]
        yield "assignment", [(*place, "=")]
        yield "statement", self._gone(node)

    def _Assign(self, node: ast.Assign) -> Iterator[tuple[str, list[Edit]]]:
        """Left out where that leaves an older value in place; elsewhere only a NameError can follow."""
        target = node.targets[0]
        names = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
        if isinstance(target, ast.Attribute | ast.Subscript) or (
            isinstance(target, ast.Name) and target.id in names
        ):
            yield "statement", self._gone(node)

    def _Expr(self, node: ast.Expr) -> Iterator[tuple[str, list[Edit]]]:
        if isinstance(node.value, ast.Call):
            yield "statement", self._gone(node)

    def _Raise(self, node: ast.Raise) -> Iterator[tuple[str, list[Edit]]]:
        yield "statement", self._gone(node)

    def _Break(self, node: ast.Break) -> Iterator[tuple[str, list[Edit]]]:
        yield "statement", self._gone(node)

    def _Continue(self, node: ast.Continue) -> Iterator[tuple[str, list[Edit]]]:
        yield "statement", self._gone(node)
