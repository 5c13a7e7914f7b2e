"""The whole measurement: case by case, who is right takes turns with the others."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minidl.bench import machine
from minidl.bench.kernels import known
from minidl.bench.kernels.cards import CARDS, DERIVED, SHEET, card_named, derived
from minidl.bench.kernels.case import Case, Draw
from minidl.bench.kernels.check import Expected
from minidl.bench.kernels.clocks import Clock, DeviceClock, HostClock
from minidl.bench.kernels.contestants import BACKENDS, OWN, Contestant, contestants, gives_views
from minidl.bench.kernels.costs import cost
from minidl.bench.workloads import WORKLOADS
from minidl.train.reporting import Reporter, Silent

#: Turns of each contestant, and those before anything counts.
ROUNDS, QUICK_ROUNDS, WARM = 7, 2, 2
#: Who takes so many times as long as the fastest has this many turns only.
FAR, FEW = 8.0, 3
#: Seconds before a turn on the host, in which the threads of whoever had the last one go to sleep.
PAUSE = 0.01

MEASURED, WRONG, FAILED = "measured", "wrong", "failed"
VIEWS = "gives views of its input: nothing is moved, nothing to time"

Record = dict[str, Any]


@dataclass
class Plan:
    """What to measure.

    Attributes:
        cases: of the list, in its order.
        backends: that take part, all of them there.
        threads: on the host.
        absent: why the others do not, by name.
        rounds: turns of each contestant; None: :data:`ROUNDS`.
        quick: small shapes, few rounds.
        gpu: number of the GPU; None: there is none, or it is not asked for.
    """

    cases: Sequence[Case]
    backends: Sequence[str]
    threads: int
    absent: dict[str, str] = field(default_factory=dict)
    rounds: int | None = None
    quick: bool = False
    gpu: int | None = None

    def turns(self) -> int:
        """Of each contestant."""
        return self.rounds or (QUICK_ROUNDS if self.quick else ROUNDS)


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
        "backends": {name: BACKENDS[name][0] for name in plan.backends},
        "absent": plan.absent,
        "gpu": None,
        "cards": [card._asdict() for card in CARDS],
        "kernels": {},
        "cases": [],
    }


def run(
    plan: Plan,
    record: Record,
    reporter: Reporter | None = None,
    save: Callable[[Record], None] = lambda record: None,
    say: Callable[[Record, Record], str] = lambda measured, record: "",
) -> Record:
    """Measure everything in a plan.

    Args:
        plan: what.
        record: from :func:`begin`; results are added to it as they come.
        reporter: is told of progress and of each result.
        save: called after each result.
        say: makes the lines about a result from it and the record.
    """
    told = reporter or Silent()
    told.phase("measuring", len(plan.cases))
    gauge, clocks = _gauge(plan.threads), {"cpu": HostClock(plan.threads)}
    with _on_gpu(plan.gpu) as xp:
        if xp is not None:
            clocks["gpu"] = clock = DeviceClock(xp)  # type: ignore[assignment]
            record["gpu"] = _describe(xp, plan.gpu, clock)
        for case in plan.cases:
            measured = measure(case, plan.backends, clocks, plan.turns(), plan.quick, xp)
            measured["gauge"] = {name: [rate] for name, rate in gauge().items()}
            record["kernels"].update(known.for_record(_launched(measured)))
            record["cases"].append(measured)
            told.message(say(measured, record))
            told.advance()
            save(record)
            if xp is not None:
                xp.get_default_memory_pool().free_all_blocks()
    record["complete"] = True
    save(record)
    return record


def _launched(measured: Record) -> list[str]:
    """The CUDA kernels of a case, each once."""
    return list(dict.fromkeys(k for version in measured["versions"].values() for k in version["kernels"]))


def _gauge(threads: int) -> Callable[[], dict[str, float]]:
    """This machine's own rates: SGEMM and copying."""
    from minidl.bench.sides.gauge import Side

    return Side("", threads).prepare(WORKLOADS[0]).run


@contextlib.contextmanager
def _on_gpu(number: int | None) -> Iterator[Any]:
    """CuPy, with that GPU as the current one; None without a GPU.

    Raises:
        ValueError: it is the simulator: its times are this machine's, and say nothing of a GPU.
    """
    if number is None:
        yield None
        return
    from minidl.kernels.cuda.device import namespace_of

    xp = namespace_of("cuda")
    if xp.__name__ != "cupy":
        raise ValueError("a simulated GPU is not timed: that would be a time of this machine's processor")
    with contextlib.ExitStack() as stack:
        stack.enter_context(xp.cuda.Device(number))
        with contextlib.suppress(ImportError):
            import torch

            if torch.cuda.is_available():
                stack.enter_context(torch.cuda.device(number))
        yield xp


def _describe(xp: Any, number: int | None, clock: DeviceClock) -> dict[str, Any]:
    """The GPU for the record: what it is, how fast it copies, and its highest rates, with their source."""
    from minidl import cuda

    about = {key: str(value) for key, value in cuda.describe(f"cuda:{number}").items()}
    name = about.get("name", "")
    known = card_named(name)
    card = known or derived(name, int(about.get("compute_capability", 0)), xp.cuda.Device(number).attributes)
    sheet = card and {
        "name": card.name,
        "flops": card.flops,
        "bandwidth": card.bandwidth,
        "source": SHEET if known else DERIVED,
    }
    return {"about": about, "copy": clock.copy_rate(), "data_sheet": sheet, "flushed": clock.size}


def measure(
    case: Case,
    backends: Sequence[str],
    clocks: Mapping[str, Clock],
    rounds: int,
    quick: bool = False,
    xp: Any = None,
) -> Record:
    """One case: who is wrong is reported and not timed, the others take turns.

    Args:
        case: what.
        backends: that take part.
        clocks: by place, "cpu" and "gpu".
        rounds: turns of each.
        quick: small shapes.
        xp: CuPy, for "cuda".
    """
    call = case.make(Draw(quick))
    expected = Expected(case, call)
    least = cost(case, call, expected.arrays)
    sides: dict[str, Record] = {}
    ready: dict[str, Contestant] = {}
    for backend in backends:
        try:
            for one in contestants(case, call, [backend], xp):
                sides[one.name] = _check(one, expected)
                if sides[one.name]["status"] == MEASURED:
                    ready[one.name] = one
        except Exception as error:  # it cannot even be given its arguments: one of many cases, the rest go on
            sides[backend] = _side(backend, _told(error))
    _take_turns(ready, sides, clocks, rounds)
    return {
        "name": case.name,
        "operation": case.operation,
        "function": case.function,
        "title": case.title or f"{case.function.replace('_', ' ')}",
        "flops": least.flops,
        "bytes": least.bytes,
        "contestants": sides,
        "versions": known.versions(case, call, least),
    }


def _side(backend: str, status: str, **more: Any) -> Record:
    return {"backend": backend, "place": BACKENDS[backend][1], "status": status, **more}


def _told(error: Exception) -> str:
    return f"{FAILED}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _check(one: Contestant, expected: Expected) -> Record:
    """A contestant's part of the record, before it is timed."""
    more = {"version": one.version, "note": one.note}
    try:
        result = one.run()
        arrays = one.to_host(result)
        fault, views = expected.fault(arrays), gives_views(one, result)
    except Exception as error:  # whatever it is, it is this contestant's alone
        return _side(one.backend, _told(error), **more)
    if fault:
        return _side(one.backend, f"{WRONG}: {fault}", **more)
    return _side(one.backend, VIEWS if views else MEASURED, error=expected.share(arrays), **more)


def _take_turns(
    ready: dict[str, Contestant], sides: dict[str, Record], clocks: Mapping[str, Clock], rounds: int
) -> None:
    """A B C A B C ..., on each side of the bus; samples go into the record."""
    samples: dict[str, list[Any]] = {name: [] for name in ready}

    def median(name: str) -> float:
        return statistics.median(sample.seconds for sample in samples[name])

    for turn in range(-WARM, rounds):
        fastest: dict[str, float] = {}
        if turn >= FEW:
            for name in samples:
                place = ready[name].place
                fastest[place] = min(fastest.get(place, median(name)), median(name))
        for name in list(samples):
            one = ready[name]
            if turn >= FEW and median(name) > FAR * fastest[one.place]:
                continue
            if one.place == "cpu":
                time.sleep(PAUSE)
            try:
                sample = clocks[one.place](one.run)
            except Exception as error:  # it was right a moment ago; the others go on
                sides[name]["status"] = _told(error)
                del samples[name]
                continue
            if turn >= 0:
                samples[name].append(sample)
    for name, row in samples.items():
        sides[name]["samples"] = [sample.seconds for sample in row]
        sides[name]["bound_by_host"] = any(sample.bound_by_host for sample in row)


def faults(record: Record) -> list[str]:
    """One line for each of minidl's own kernels that is wrong, or failed.

    Args:
        record: all of it.
    """
    return [
        f"{measured['name']}: {name} {side['status']}"
        for measured in record["cases"]
        for name, side in measured["contestants"].items()
        if side["backend"] in OWN and side["status"].startswith((WRONG, FAILED))
    ]
