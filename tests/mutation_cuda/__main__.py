"""Mutants of the CUDA kernels: ``python -m mutation_cuda [--sample N] [--seconds S] [--file F] [--write]``.

Each mutant is compiled through the simulator and run by all cases of its file (tests/oracles/cuda_cases):
in check mode in three orders of threads, then in float64, then with 64-bit indices and few blocks. They come
in an order that looks random and is always the same, so that what a run that ends early has judged is a fair
sample. Verdicts are kept in results.json, and a later run goes on where this one stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

from minidl.kernels.cuda.launch import FOLDER
from mutation_cuda.judge import SURVIVED, timed
from mutation_cuda.mutants import Mutant, mutants
from oracles.cuda_cases import CASES

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
#: Survivors that were looked at: "file|before|after" and the reason.
REASONS = HERE / "reasons.json"
PAGE = HERE.parents[1] / "docs" / "proof" / "mutants-cuda.md"
FILES = tuple(name for name in CASES if (FOLDER / f"{name}.cu").exists())


def everything() -> list[Mutant]:
    """All mutants, in the order of their keys."""
    sources = {file: (FOLDER / f"{file}.cu").read_text(encoding="utf-8") for file in FILES}
    found = [m for file, source in sources.items() for m in mutants(file, source)]
    return sorted(found, key=lambda m: m.key)


def kept(path: Path) -> dict[str, str]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def judged(all_mutants: list[Mutant], verdicts: dict[str, str]) -> list[tuple[Mutant, str]]:
    """The mutants that compile and have a verdict."""
    known = ((m, verdicts.get(m.key, "no program")) for m in all_mutants)
    return [(m, verdict) for m, verdict in known if verdict != "no program"]


def reason(mutant: Mutant) -> str:
    """Why a mutant survives, from reasons.json; it begins with "Equivalent" where no input can tell."""
    return kept(REASONS).get(f"{mutant.file}|{mutant.before}|{mutant.after}", "not looked at yet")


def killed_share(of: list[tuple[Mutant, str]]) -> float:
    """Of those not proven equivalent, which share died."""
    alive = [m for m, verdict in of if verdict == SURVIVED]
    equivalent = sum(reason(m).startswith("Equivalent") for m in alive)
    return 1 - (len(alive) - equivalent) / (len(of) - equivalent)


def page(all_mutants: list[Mutant], verdicts: dict[str, str]) -> str:
    """The table of docs/proof/mutants-cuda.md."""
    of = judged(all_mutants, verdicts)
    lines = [
        "# Mutants of the CUDA kernels",
        "",
        "One small mistake at a time in a `.cu` file: is it noticed? Made by `make mutants-cuda`",
        f"(tests/mutation_cuda). Judged so far: {len(of)} of {len(all_mutants)}, of each file those that",
        "come first in an order that looks random; mutants that do not compile are left out. Of those that",
        f"are not proven equivalent, {killed_share(of):.1%} die.",
        "",
        "| File | Judged | Killed by value | by the checker | otherwise | Survived |",
        "|---|---|---|---|---|---|",
    ]
    for file in (*FILES, "all"):
        words = Counter(v.split(":")[0] for m, v in of if file in (m.file, "all"))
        total, value, finding, alive = sum(words.values()), words["value"], words["finding"], words[SURVIVED]
        lines.append(
            f"| {file} | {total} | {value} | {finding} | {total - value - finding - alive} | {alive} |"
        )
    lines += ["", "## Survivors", "", "| Place | Kind | Before | After | Why |", "|---|---|---|---|---|"]
    for m, verdict in of:
        if verdict == SURVIVED:
            before, after = (f"`` {text.replace('|', chr(92) + '|')} ``" for text in (m.before, m.after))
            lines.append(f"| {m.file}.cu:{m.line} | {m.kind} | {before} | {after} | {reason(m)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="mutation_cuda", description=__doc__)
    parser.add_argument("--sample", type=int, help="judge so many new mutants, then stop")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds")
    parser.add_argument("--write", action="store_true", help="write docs/proof/mutants-cuda.md")
    parser.add_argument("--file", choices=FILES, help="only mutants of this file")
    arguments = parser.parse_args()
    # Compiled mutants are of no use afterwards.
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("MINIDL_SIM_CACHE", folder)
        work(arguments)


def work(arguments: argparse.Namespace) -> None:
    """Judge what is new, and write the page if that was asked for."""
    all_mutants, verdicts, start = everything(), kept(RESULTS), time.monotonic()
    new = [m for m in all_mutants if m.key not in verdicts and arguments.file in (None, m.file)]
    checked_files: set[str] = set()
    for mutant in new[: arguments.sample]:
        if arguments.seconds and time.monotonic() - start > arguments.seconds:
            break
        if mutant.file not in checked_files:  # without a mutant nothing may be noticed
            source = (FOLDER / f"{mutant.file}.cu").read_text(encoding="utf-8")
            baseline = Mutant(mutant.file, 0, "none", "", "", source)
            verdict = timed(baseline)[0]
            if verdict != SURVIVED:
                raise SystemExit(f"{mutant.file}.cu fails as it is: {verdict}")
            checked_files.add(mutant.file)
        verdicts[mutant.key], seconds = timed(mutant)
        print(
            f"{mutant.file}.cu:{mutant.line} {mutant.kind}: {verdicts[mutant.key]} ({seconds:.1f} s)",
            flush=True,
        )
        if verdicts[mutant.key] == SURVIVED:
            print(f"    {mutant.before}\n    {mutant.after}")
        RESULTS.write_text(json.dumps(verdicts, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    if arguments.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(all_mutants, verdicts), encoding="utf-8")


if __name__ == "__main__":
    main()
