"""The whole measurement: workload by workload, contestant beside contestant."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from minidl.bench import machine
from minidl.bench.alternate import Samples, alternate
from minidl.bench.analysis import figures
from minidl.bench.contestants import CONTESTANTS, GAUGE, MINIDL
from minidl.bench.costs import memory_needed
from minidl.bench.plan import MEMORY_WORKLOADS, START_WORKLOAD, Plan
from minidl.bench.processes import KEEPING, Process, Team, WorkerError
from minidl.bench.sides.job import Digest, same
from minidl.bench.tasks import Network, Workload
from minidl.bench.workloads import find
from minidl.train.reporting import Reporter, Silent

#: Turns after the first step, to know what a later step takes.
LATER = 3

Record = dict[str, Any]


def begin(plan: Plan) -> Record:
    """An empty record: what was asked, and where."""
    return {
        "format": 1,
        "complete": False,
        "date": machine.now(),
        "commit": machine.commit(),
        "quick": plan.quick,
        "machine": machine.describe(plan.threads),
        "versions": machine.versions(),
        "contestants": {
            name: {"title": one.title, "version": one.version() or "not installed"}
            for name, one in CONTESTANTS.items()
            if name in plan.peers
        },
        "workloads": [],
        "memory": [],
        "startup": {},
    }


def run(
    plan: Plan,
    record: Record,
    reporter: Reporter | None = None,
    save: Callable[[Record], None] = lambda record: None,
) -> Record:
    """Measure everything in a plan.

    Args:
        plan: what.
        record: from :func:`begin`; results are added to it as they come.
        reporter: is told of progress and of each result.
        save: called after each result.
    """
    told = reporter or Silent()
    told.phase("measuring", plan.units())
    with tempfile.TemporaryDirectory(prefix="minidl-bench-") as folder:
        # torch.compile starts from nothing, so that its compile time is an honest one.
        extra = {"TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor"}
        for measured in _workloads(plan, extra | KEEPING, told):
            record["workloads"].append(measured)
            told.message(line(measured, plan.quick))
            save(record)
        if plan.memory:
            for name in MEMORY_WORKLOADS:
                record["memory"].append(_memory(name, plan, extra, told))
                save(record)
        if plan.startup:
            record["startup"] = _startup(plan, folder, told)
    record["complete"] = True
    save(record)
    return record


def _workloads(plan: Plan, extra: dict[str, str], told: Reporter) -> Iterator[dict[str, Any]]:
    """Operations share their processes; every network has fresh ones."""
    for shared, workloads in groupby(plan.workloads, lambda w: w.group == "operations"):
        with contextlib.closing(Team(plan.threads, extra)) as team:
            for workload in workloads:
                yield _measure(workload, plan, team, told)
                if not shared:
                    team.close()


def _measure(workload: Workload, plan: Plan, team: Team, told: Reporter) -> dict[str, Any]:
    """One workload: prepare all, then take turns."""
    sides: dict[str, dict[str, Any]] = {}
    chosen = plan.contestants(workload)
    reason = _too_large(workload)
    for name in [*chosen, GAUGE.name]:
        if reason:
            sides[name] = {"status": reason}
        elif name != GAUGE.name and not CONTESTANTS[name].installed():
            sides[name] = {"status": "not installed"}
        else:
            sides[name] = _prepare(team, name, workload, plan.quick)
            told.advance()
    _compare(sides)
    ready = {name: team.get(name) for name, side in sides.items() if side["status"] == "measured"}
    rounds = plan.turns(workload)
    for name, samples in alternate(ready, rounds, told.advance).items():
        _settle(sides[name], samples)
        if samples.error is not None:
            team.drop(name)
    told.advance(rounds * sum(s["status"].startswith("failed") for s in sides.values()))
    for side in sides.values():
        side["idle_share"] = _idle_share(side, sides)
    gauge = sides.pop(GAUGE.name)
    return {
        "name": workload.name,
        "group": workload.group,
        "title": workload.title,
        "rounds": rounds,
        "contestants": sides,
        "gauge": gauge.get("parts", {}),
    }


def _too_large(workload: Workload) -> str:
    """Why a workload is left out on this machine, or nothing."""
    if not isinstance(workload.task, Network):
        return ""
    needed, there = memory_needed(workload.task), machine.memory()
    if needed <= there:
        return ""
    return f"left out: needs about {needed / 2**30:.0f} GiB, {there / 2**30:.0f} GiB are free"


def _prepare(team: Team, name: str, workload: Workload, quick: bool) -> dict[str, Any]:
    try:
        reply = team.get(name).ask({"do": "prepare", "workload": workload.name, "quick": quick})
    except WorkerError as error:
        team.drop(name)
        return {"status": f"failed: {error}"}
    return {"status": "measured", **reply}


def _compare(sides: dict[str, dict[str, Any]]) -> None:
    """Whoever computes something else than minidl does not count."""
    reference = sides.get(MINIDL, {}).get("digest")
    if not reference:  # minidl failed, or the work is random
        return
    for name, side in sides.items():
        others = name not in (MINIDL, GAUGE.name) and side["status"] == "measured"
        if others and not equal_work(reference, side["digest"]):
            side["status"] = "computes something else than minidl: not counted"


def equal_work(ours: Digest, theirs: Digest) -> bool:
    """Whether two contestants did the same, as far as single precision can tell.

    Args:
        ours: digest of one; see :mod:`minidl.bench.sides.job`.
        theirs: of the other.
    """
    if ours and len(ours[0]) == 1:  # losses: Adam divides by gradients that may be almost zero
        return same(ours[:1], theirs[:1], 1e-4) and same(ours, theirs, 5e-3)
    return same(ours, theirs)


def _settle(side: dict[str, Any], samples: Samples) -> None:
    """Enter a contestant's turns into the record."""
    if samples.error is not None:
        side["status"] = f"failed: {samples.error}"
        return
    side["parts"], side["idle"], side["turns"] = samples.parts, samples.idle, samples.turns


def _idle_share(side: dict[str, Any], sides: dict[str, dict[str, Any]]) -> float:
    """Processor time between a contestant's turns as a share of what the others' turns took."""
    if "turns" not in side:
        return 0.0
    others = [statistics.median(s["turns"]) for s in sides.values() if s is not side and "turns" in s]
    return statistics.median(side["idle"]) / sum(others) if others else 0.0


def _memory(name: str, plan: Plan, extra: dict[str, str], told: Reporter) -> dict[str, Any]:
    """Peak memory of a training step, each contestant alone in a fresh process."""
    workload, rows = find(name, plan.quick), {}
    for contestant in plan.memory_contestants():
        if not CONTESTANTS[contestant].installed():
            rows[contestant] = {"status": "not installed"}
        else:
            request = {"do": "memory", "workload": name, "quick": plan.quick}
            try:
                with Process(contestant, plan.threads, extra) as process:
                    rows[contestant] = {"status": "measured", **process.ask(request)}
            except WorkerError as error:
                rows[contestant] = {"status": f"failed: {error}"}
        told.advance()
    return {"name": name, "title": workload.title, "contestants": rows}


def _startup(plan: Plan, folder: str, told: Reporter) -> dict[str, Any]:
    """First steps in two fresh processes: with an empty compile cache, and with what the first one left."""
    result: dict[str, Any] = {}
    extra = {"NUMBA_CACHE_DIR": f"{folder}/numba"}
    for state in ("empty", "warm"):
        try:
            with Process(MINIDL, plan.threads, extra) as process:
                request = {"do": "prepare", "workload": START_WORKLOAD, "quick": plan.quick}
                result[state] = process.ask(request)
                turns = [process.ask({"do": "go"})["parts"]["step"] for _ in range(LATER)]
                result[state]["later"] = turns
        except WorkerError as error:
            return {"status": f"failed: {error}"}
        told.advance()
    return result


def line(measured: dict[str, Any], quick: bool) -> str:
    """One line for the person who waits.

    Args:
        measured: a workload's part of the record.
        quick: whether it is of a quick run.
    """
    found = figures(measured, quick)
    said = [f"{measured['name']}:"]
    ours = found.seconds.get(MINIDL)
    said.append(f"minidl {ours * 1e3:.4g} ms" if ours else "minidl has no figure")
    if found.best is not None:
        said.append(f"{found.best} {found.seconds[found.best] * 1e3:.4g} ms")
    if found.ratio is not None:
        said.append(f"ratio {found.ratio:.2f} {found.verdict}".rstrip())
    return "  ".join([*said, *(f"({note})" for note in found.notes)])
