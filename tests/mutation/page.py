"""Verdicts as numbers (docs/proof/mutants.json) and the page that shows them (docs/proof/mutants.md)."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from mutation.live import Verdict
from mutation.mutants import Mutant

HERE = Path(__file__).resolve().parent
#: At least so large a share of the mutants that are not equivalent must die.
REQUIRED = 0.95

OPERATORS = {
    "arithmetic": "`+` and `-` exchanged, `&` and `\\|` too; `*` to `+`; `/`, `//`, `%`, `**`, `@` to `*`",
    "comparison": "`<` and `<=`, `>` and `>=`, `==` and `!=`, `is` and `is not`, `in` and `not in` exchanged",
    "boolean": "`and` and `or` exchanged",
    "sign, not": "a `-`, `~` or `not` left out",
    "branches": "the condition of an `if` negated",
    "constant": "a number plus one, 1 also to 0, `True` and `False` exchanged",
    "slice": "a bound or the step of a slice left out",
    "keyword": "an argument `axis=`, `dim=`, `keepdims=`, `dtype=` ... left out",
    "arguments": "the first two arguments of a call exchanged",
    "assignment": "`+=` to `=`",
    "statement": "a call, a `raise`, an assignment that replaces a value, `break` or `continue` left out",
}


class Reasons:
    """The hand-written part: which mutants are equivalent and why, and why a survivor is left alive."""

    def __init__(self, folder: Path = HERE) -> None:
        self.equivalent = self._read(folder / "equivalent.toml")
        self.survivors = self._read(folder / "survivors.toml")

    @staticmethod
    def _read(path: Path) -> dict[tuple[str, str, str], str]:
        """(file, before, after) -> reason."""
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("mutants", [])
        return {
            (table["file"], before, after): " ".join(table["reason"].split())
            for table in tables
            for before, after in table["changes"]
        }

    def stale(self, mutants: list[Mutant]) -> list[tuple[str, str, str]]:
        """Reasons for mutants that are not there (any more)."""
        there = {key(m) for m in mutants}
        files = {m.file for m in mutants}
        return [k for k in (*self.equivalent, *self.survivors) if k not in there and k[0] in files]


def key(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.file, mutant.before, mutant.after


def result(verdicts: list[Verdict], reasons: Reasons, tests: int, sample: int | None) -> dict[str, Any]:
    """Everything that the page shows."""
    files: dict[str, dict[str, Any]] = {}
    operators: dict[str, Counter[str]] = {name: Counter() for name in OPERATORS}
    wrong = []
    for verdict in verdicts:
        mutant = verdict.mutant
        row = files.setdefault(mutant.file, {"mutants": 0, "killed": 0, "equivalent": [], "survivors": []})
        row["mutants"] += 1
        counts = operators[mutant.operator]
        counts["mutants"] += 1
        if verdict.killed_by is not None:
            row["killed"] += 1
            counts["killed"] += 1
            if key(mutant) in reasons.equivalent:
                wrong.append({**described(mutant), "killed_by": verdict.killed_by})
            continue
        is_equivalent = key(mutant) in reasons.equivalent
        reason = (reasons.equivalent if is_equivalent else reasons.survivors).get(key(mutant), "")
        kind = "equivalent" if is_equivalent else "survivors"
        counts[kind] += 1
        row[kind].append({**described(mutant), "tests": verdict.reaching, "reason": reason})
    return {
        "sample": sample,
        "tests": tests,
        "files": files,
        "operators": {name: dict(c) for name, c in operators.items()},
        "called equivalent but killed": wrong,
    }


def described(mutant: Mutant) -> dict[str, str]:
    names = ("function", "operator", "before", "after")
    return {name: getattr(mutant, name) or "" for name in names}


def rate(data: dict[str, Any]) -> float:
    """Killed among those that are not equivalent."""
    killed = sum(row["killed"] for row in data["files"].values())
    alive = sum(len(row["survivors"]) for row in data["files"].values())
    return killed / (killed + alive) if killed + alive else 1.0


def render(data: dict[str, Any]) -> str:
    """The page."""
    return "\n".join([*_head(data), *_operator_table(data), *_file_table(data), *_lists(data)]) + "\n"


def write(folder: Path, data: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, indent=1, ensure_ascii=False)
    (folder / "mutants.json").write_text(text + "\n", encoding="utf-8")
    (folder / "mutants.md").write_text(render(data), encoding="utf-8")


def _total(data: dict[str, Any], name: str) -> int:
    values = (row[name] for row in data["files"].values())
    return sum(v if isinstance(v, int) else len(v) for v in values)


def _head(data: dict[str, Any]) -> list[str]:
    mutants, killed = _total(data, "mutants"), _total(data, "killed")
    equivalent, survivors = _total(data, "equivalent"), _total(data, "survivors")
    drawn = "" if data["sample"] is None else f", at most {data['sample']} drawn at random from each file"
    return [
        "# Mutants: would the tests notice?",
        "",
        "One thing at a time is changed in the operations, the tape and the reference kernels, and the",
        "tests that reach the changed line are run. A change that no test notices is a place where the",
        "library could be wrong without anybody seeing it. `make mutants` makes these numbers; how, and why",
        "not with one of the tools that exist: `tests/mutation/__init__.py`.",
        "",
        f"**{mutants} mutants{drawn}: {killed} killed, {equivalent} equivalent, {survivors} survivors. "
        f"Of the {mutants - equivalent} that are not equivalent, {100 * rate(data):.2f} % die**, "
        f"with {data['tests']} tests.",
        "",
        "*Killed*: a test failed, or ran ten times its processor time. *Equivalent*: no test can notice, for",
        "the reason given; the list is written by hand, and the run fails if one of them dies after all.",
        "*Survivor*: no test noticed in the time that it had. Reasons of both kinds were found by",
        "reading; none was proven by a run. Counted as survivors, all equivalent ones would leave "
        f"{100 * killed / mutants:.2f} % killed.",
        "",
    ]


def _operator_table(data: dict[str, Any]) -> list[str]:
    rows = [
        "## By kind of change",
        "",
        "| change | what is done | mutants | killed | equivalent | survivors |",
    ]
    rows.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, what in OPERATORS.items():
        counts = data["operators"].get(name, {})
        numbers = [counts.get(k, 0) for k in ("mutants", "killed", "equivalent", "survivors")]
        rows.append(f"| {name} | {what} | " + " | ".join(map(str, numbers)) + " |")
    return [*rows, ""]


def _file_table(data: dict[str, Any]) -> list[str]:
    rows = ["## By file", "", "| file | mutants | killed | equivalent | survivors |"]
    rows.append("| --- | ---: | ---: | ---: | ---: |")
    for file, row in sorted(data["files"].items()):
        numbers = (row["mutants"], row["killed"], len(row["equivalent"]), len(row["survivors"]))
        rows.append(f"| `{file}` | " + " | ".join(map(str, numbers)) + " |")
    return [*rows, ""]


def _lists(data: dict[str, Any]) -> list[str]:
    rows: list[str] = []
    for title, kind in (("Survivors", "survivors"), ("Equivalent", "equivalent")):
        rows += [f"## {title}", ""]
        files = {file: row[kind] for file, row in sorted(data["files"].items()) if row[kind]}
        if not files:
            rows += ["None.", ""]
        for file, listed in files.items():
            rows += [f"### {title}: `{file}`", ""]
            for one in listed:
                where = f"`{one['function']}`" if one["function"] else "at import"
                rows += [
                    f"- {where}: {_code(one['before'])} to {_code(one['after'])}. {one['reason']}".rstrip()
                ]
            rows.append("")
    return rows[:-1]


def _code(text: str) -> str:
    """A code span, whatever is in it."""
    fence = "``" if "`" in text else "`"
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"
