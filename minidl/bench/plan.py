"""What to measure, and beside whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minidl import _inputs
from minidl.bench.contestants import CONTESTANTS, MINIDL, OWN
from minidl.bench.tasks import Workload
from minidl.bench.workloads import WORKLOADS, find, in_quick_run

#: Contestants of the memory table; each in a fresh process.
MEMORY_OF = ("minidl", "minidl-recompute", "torch", "torch-channels-last", "tensorflow")
MEMORY_WORKLOADS, START_WORKLOAD = ("train-documents", "train-paper"), "train-documents"


@dataclass
class Plan:
    """What to measure.

    Attributes:
        workloads: of the list, in its order.
        peers: names of contestants that may take part beside minidl; those that are not installed are noted.
        threads: for every contestant.
        rounds: turns of each contestant; None: the workload's own number.
        quick: small shapes, few rounds.
        memory: measure peak memory, too.
        startup: measure first steps, too.
    """

    workloads: Sequence[Workload]
    peers: Sequence[str]
    threads: int
    rounds: int | None = None
    quick: bool = False
    memory: bool = False
    startup: bool = False

    def contestants(self, workload: Workload) -> list[str]:
        """minidl and the chosen ones of the workload's peers."""
        extra = [name for name in self.peers if name in OWN and getattr(workload.task, "train", False)]
        return [MINIDL, *extra, *(name for name in workload.peers if name in self.peers)]

    def turns(self, workload: Workload) -> int:
        """Rounds of a workload."""
        return self.rounds or workload.rounds

    def units(self) -> int:
        """For the progress bar: preparations and turns."""
        count = 0
        for workload in self.workloads:
            present = [name for name in self.contestants(workload) if CONTESTANTS[name].installed()]
            count += (1 + self.turns(workload)) * (1 + len(present))
        count += len(MEMORY_WORKLOADS) * len(self.memory_contestants()) * self.memory
        return count + 2 * self.startup

    def memory_contestants(self) -> list[str]:
        """Of the memory table."""
        return [name for name in MEMORY_OF if name in OWN or name in self.peers]


def select(patterns: Sequence[str], quick: bool) -> list[Workload]:
    """The workloads whose name or group matches one of the patterns; all of them without a pattern.

    Args:
        patterns: as a shell's: ``relu``, ``conv*``, ``training``.
        quick: leaves out the long ends of the sweeps.
    """
    return [
        find(w.name, quick)
        for w in WORKLOADS
        if (
            not patterns
            or any(_inputs.matches(p, name, "--only") for p in patterns for name in (w.name, w.group))
        )
        and (not quick or in_quick_run(w))
    ]
