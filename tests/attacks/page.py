"""The table of attacks, for the screen and for docs/proof/attacks.md."""

from __future__ import annotations

from typing import Any

from attacks.families import FAMILIES

Found = dict[str, dict[str, Any]]

_HEAD = """# What was attacked, and what became of it

`make break` writes this page: it attacks the command line in {seconds} seconds (two cores, seed {seed}) and fails if anything
is not survived. *Survived* means for every attack: the command ends with one of its [exit codes](../command-line.md#exit-codes), says what is
wrong with an input in one line that has a remedy and on which nothing acts on a terminal, prints no traceback, does not hang,
takes no more memory than it may, changes no file that is not its own (none at all where it refuses), and leaves no temporary
file and no lock. What each family means by it beyond that is in the last column. *Before* is the version before these attacks were
known. What is promised and what is not: [SECURITY.md](../../SECURITY.md).

"""


def about(name: str) -> str:
    """What a family attacks: the first line of its module."""
    return (FAMILIES[name].__doc__ or "").strip().split("\n")[0].rstrip(".")


def line(name: str, found: dict[str, Any]) -> str:
    """A family that is done."""
    survived = found["tries"] - len(found["failures"])
    return f"{name}: {survived} of {found['tries']} survived, {found['seconds']} s"


def table(found: Found, before: Found | None = None) -> str:
    """Attack, tries, survived."""
    rows = [
        "| attack | tries | survived before | survived now | survived means |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, result in found.items():
        now = f"{result['tries'] - len(result['failures']):,}"
        tries = f"{result['tries']:,}"
        rows.append(
            f"| {about(name)} | {tries} | {_earlier(name, before)} | {now} | {FAMILIES[name].MEANS} |"
        )
    return "\n".join(rows)


def _earlier(name: str, before: Found | None) -> str:
    if before is None or name not in before:
        return "not run"
    result = before[name]
    if result.get("died"):
        return "not comparable"
    return f"{result['tries'] - len(result['failures']):,} of {result['tries']:,}"


def page(found: Found, before: Found | None, seconds: int, seed: int) -> str:
    """The whole page."""
    return _HEAD.format(seconds=seconds, seed=seed) + table(found, before) + "\n"
