"""``python -m attacks``: each family in a process of its own, two at a time; a table at the end."""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attacks import page
from attacks.families import FAMILIES

#: Seconds after which a family is ended: it hangs where no signal reaches.
LIMIT = 900
#: Bytes of addresses that a family may have.
MEMORY = 8 * 2**30


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(prog="attacks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(FAMILIES), default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--share", type=float, default=1.0, help="of the attacks of each family")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="families at a time")
    parser.add_argument("--report", type=Path, help="write the table here, as markdown")
    parser.add_argument("--before", type=Path, help="--json of an earlier version, for a column of its own")
    parser.add_argument("--json", type=Path, help="write everything here")
    parser.add_argument("--seconds", type=float, default=30, help="that one attack may take")
    parser.add_argument(
        "--plant", help="a fault (attacks.planted): a run that does not notice it is worth nothing"
    )
    parser.add_argument("--family", help=argparse.SUPPRESS)  # the child's work
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def child(given: argparse.Namespace) -> None:
    """Try one family; the result as JSON in the folder."""
    from attacks.bench import Bench

    program: tuple[str, ...] = ("-m", "minidl")
    if given.plant:
        from attacks import planted

        start = f"from attacks import planted; planted.PLANTS[{given.plant!r}]()"
        program = ("-c", f"{start}; from minidl.cli import entry; entry()")
    family = FAMILIES[given.family]
    # What fills the memory shall not fill the machine's; `Bench.memory` is the bound that counts.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    bench = Bench(
        given.folder / "bench", program=program, trace=given.folder / "trace", seconds=given.seconds
    )
    if given.plant:
        planted.PLANTS[given.plant]()
    count = max(1, round(family.COUNT * given.share))
    family.attack(bench, random.Random(f"{given.seed} {given.family}"), count)
    found = {"tries": bench.tries, "failures": bench.failures, "peak": bench.peak}
    (given.folder / "found.json").write_text(json.dumps(found, default=str), encoding="utf-8")


def run(name: str, given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """A family in a child: what it found, or how it died."""
    folder = work / name
    (folder / "bench").mkdir(parents=True)
    command = [sys.executable, "-m", "attacks", "--family", name, "--folder", str(folder)]
    command += ["--share", str(given.share), "--seed", str(given.seed), "--seconds", str(given.seconds)]
    command += ["--plant", given.plant] if given.plant else []
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=LIMIT)[1].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said = f"nothing for {LIMIT} s"
        process.wait()
    try:
        found: dict[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    except OSError:
        last = (
            (folder / "trace").read_text(encoding="utf-8") if (folder / "trace").exists() else "the beginning"
        )
        found = {
            "tries": 1,
            "failures": [[last, f"the process ended: {' '.join(said.split())[-700:]}"]],
            "peak": 0,
            "died": True,
        }
    else:
        if said:  # past Python's streams: what a library in C says
            found["failures"].append(["standard error of the process", said[-1000:]])
    found["seconds"] = round(time.monotonic() - began)
    print(page.line(name, found), flush=True)
    return found


def main() -> int:
    """All families; 1 if anything was not survived."""
    given = arguments()
    if given.family:
        child(given)
        return 0
    began = time.monotonic()
    folder = tempfile.TemporaryDirectory(prefix="minidl-attacks-", ignore_cleanup_errors=True)
    with folder as name, ThreadPoolExecutor(given.jobs) as pool:
        results = list(pool.map(lambda family: run(family, given, Path(name)), given.only))
    found = dict(zip(given.only, results, strict=True))
    seconds = round(time.monotonic() - began)
    if given.json:
        given.json.write_text(json.dumps({"seconds": seconds, "found": found}, indent=1), encoding="utf-8")
    before = json.loads(given.before.read_text(encoding="utf-8"))["found"] if given.before else None
    print(page.table(found, before))
    lost = sum(len(result["failures"]) for result in found.values())
    print(f"{sum(r['tries'] for r in found.values())} attacks in {seconds} s, {lost} not survived")
    for family, result in found.items():
        for attack, why in result["failures"][:20]:
            print(f"NOT SURVIVED: {family}: {attack}: {why}"[:1000])
    if given.report:
        given.report.write_text(page.page(found, before, seconds, given.seed, given.share), encoding="utf-8")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
