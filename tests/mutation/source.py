"""A source text, its tree, and where in the text each node lies."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property


class Source:
    """A source text, its tree, and where in the text each node lies."""

    def __init__(self, text: str) -> None:
        self.raw = text.encode()
        self.lines = text.splitlines()
        self.tree = ast.parse(text)
        self._starts = [0]
        for raw_line in self.raw.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(raw_line))
        self.parent = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def start(self, node: ast.AST) -> int:
        return self._starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        return self._starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def segment(self, node: ast.AST) -> str:
        return self.raw[self.start(node) : self.end(node)].decode()

    def between(self, left: ast.AST, right: ast.AST, token: str) -> tuple[int, int]:
        """Where the token stands between two nodes (comments hold none of the operators' signs here)."""
        first = self.raw.index(token.encode(), self.end(left), self.start(right))
        return first, first + len(token)

    def line_number(self, position: int) -> int:
        return self.raw.count(b"\n", 0, position) + 1

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside out."""
        while node in self.parent:
            node = self.parent[node]
            yield node

    def statement(self, node: ast.AST) -> ast.stmt:
        return next(n for n in (node, *self.above(node)) if isinstance(n, ast.stmt))

    @cached_property
    def functions(self) -> dict[ast.AST, tuple[str, int, int]]:
        """Every function outside other functions: qualified name, first line, rank among its namesakes."""
        result: dict[ast.AST, tuple[str, int, int]] = {}
        ranks: dict[str, int] = {}

        def visit(body: list[ast.stmt], prefix: str) -> None:
            for node in body:
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{prefix}{node.name}.")
                elif isinstance(node, ast.FunctionDef):
                    name = prefix + node.name
                    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                    result[node] = name, first, ranks.get(name, 0)
                    ranks[name] = ranks.get(name, 0) + 1
                elif isinstance(node, ast.If | ast.Try | ast.With):
                    visit([n for n in ast.walk(node) if isinstance(n, ast.stmt) and n is not node], prefix)

        visit(self.tree.body, "")
        return result

    def place(self, node: ast.AST) -> tuple[str | None, int, int, tuple[int, int]]:
        """(outermost function, first line, rank, lines that a test must run to notice a change at this node).

        A default or a decorator belongs to no function's code, but only who calls the function notices it;
        the constants of a module and the bodies of classes may be noticed by every test of the file.
        """
        around = [node, *self.above(node)]
        outer = next((n for n in around if n in self.functions), None)
        if outer is None:
            return None, 0, 0, (1, len(self.lines))
        assert isinstance(outer, ast.FunctionDef)
        body = (outer.body[0].lineno, outer.end_lineno or 0)
        inside = around[around.index(outer) - 1] if outer is not node else None
        if inside not in outer.body:
            return None, 0, 0, body
        statement = self.statement(node)
        last = statement.end_lineno or statement.lineno
        if isinstance(getattr(statement, "body", None), list):  # of an if or a loop only the head
            last = max(statement.lineno, statement.body[0].lineno - 1)  # type: ignore[attr-defined]
        if isinstance(statement, ast.FunctionDef):  # a nested one: its defaults
            last = statement.lineno
        return *self.functions[outer], (statement.lineno, last)
