"""What the simulator finds wrong with a kernel: data classes, and the exception that carries them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Kinds of findings, in the order of runtime/report.h.
KINDS = (
    "out of bounds",
    "race",
    "uninitialised read",
    "divergent barrier",
    "warp mask",
    "misaligned access",
    "write to read-only memory",
    "stopped",
    "undefined arithmetic",
    "stuck",
    "crash",
)
Index = tuple[int, int, int]


@dataclass(frozen=True)
class Party:
    """One side of a finding: a thread that did something at a line.

    Attributes:
        file, line: where, in the ``.cu`` file; line 0 if it is not known.
        block, thread: ``(x, y, z)``, as the kernel's ``blockIdx`` and ``threadIdx``.
        action: ``"read"``, ``"write"``, ``"atomic"`` or ``""``.
    """

    file: str
    line: int
    block: Index
    thread: Index
    action: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file or "an unknown line"
        return f"{where}, block {self.block}, thread {self.thread}"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: one of :data:`KINDS`.
        first: who did it; None if the process ended without saying so.
        other: of a race, who did the other half of it, earlier; else None.
        array: name of the array (the kernel's parameter, or the shared variable), or ``""``.
        shared: whether that is a shared array.
        offset: bytes from the array's start, which may be negative.
        element: the same in elements, ``offset // itemsize``.
        size: bytes of the access.
        count: how often the same was found at the same places.
        message: what is wrong, in words, without the places.
    """

    kind: str
    first: Party | None
    other: Party | None
    array: str
    shared: bool
    offset: int
    element: int
    size: int
    count: int
    message: str

    def __str__(self) -> str:
        text = f"{self.kind}: {self.message}"
        if self.first is not None:
            text += f"\n    {_action(self.first)}at {self.first}"
        if self.other is not None:
            text += f"\n    {_action(self.other)}at {self.other}"
        if self.count > 1:
            text += f"\n    and {self.count - 1} more like it"
        return text


def _action(party: Party) -> str:
    return f"{party.action} " if party.action else ""


class KernelFault(RuntimeError):
    """A kernel did something wrong. Its text is a report.

    Attributes:
        kernel: its name.
        findings: what is wrong, in the order in which it was found.
    """

    def __init__(self, kernel: str, findings: Sequence[Finding]) -> None:
        self.kernel, self.findings = kernel, tuple(findings)
        number = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
        super().__init__(
            f"{kernel}: {number}\n" + "\n".join(f"  {f}".replace("\n", "\n  ") for f in findings)
        )

    def __reduce__(self) -> tuple[type[KernelFault], tuple[str, tuple[Finding, ...]]]:
        return KernelFault, (self.kernel, self.findings)
