"""The table of attacks, for the screen and for docs/proof/attacks.md."""

from __future__ import annotations

from typing import Any

from attacks.families import FAMILIES

Found = dict[str, dict[str, Any]]

_HEAD = """# What was attacked, and what became of it

`make break` writes this page: {count:,} attacks on the command line ({share:.0%} of the collection, seed
{seed}), in {seconds} seconds. It fails if one is not survived. *Survived* means for every attack: the
command ends with one of its [exit codes](../command-line.md#exit-codes); it says what is wrong with an
input in one line, with a remedy, on which nothing acts on a terminal; it prints no traceback, does not
hang, and takes no more memory than it may; it changes no file that is not its own, none at all where it
refuses, and leaves no temporary file and no lock. What a family means by it beyond that is in the last
column. *Before*: the same attacks on the version before these attacks were known, as far as it can be
attacked so. What is promised and what is not: [SECURITY.md](../../SECURITY.md).

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


def page(found: Found, before: Found | None, seconds: int, seed: int, share: float) -> str:
    """The whole page."""
    count = sum(result["tries"] for result in found.values())
    return _HEAD.format(seconds=seconds, seed=seed, share=share, count=count) + table(found, before) + "\n"
