"""Where attacks are tried, one after the other, and what counts as survived.

An attack is survived if the command ends with one of its exit codes; says every mistake of the person's in
one line, which begins with "minidl: error: ", has a remedy after a semicolon, and on which nothing acts on a
terminal; raises nothing; ends in time and takes no more memory than it may; changes no file that is not its
own, none at all if it refuses, and leaves no temporary file and no lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import signal
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from oracles.commands import SMALL, environment
from oracles.runs import stop_after, write_squares

#: What stands before an error, and before what is no error.
ERROR, NOTES = "minidl: error: ", ("note: ", "minidl: note: ")
#: A line is no longer (`minidl._text.LINE`, and the label).
LONGEST = 2100


class Hang(BaseException):
    """An attack took longer than it may. No Exception: nothing should catch it on its way."""


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str = ""
    err: str = ""
    raised: str = ""

    @property
    def error(self) -> str:
        """The line about the mistake, without its label; "" if there is none."""
        lines = [line for line in self.err.split("\n") if line.startswith(ERROR)]
        return lines[0].removeprefix(ERROR) if lines else ""


def complaint(ended: Ended, codes: Iterable[int]) -> str:
    """What is wrong with how a command ended; "" if nothing is."""
    if ended.raised:
        return f"raised {ended.raised}"
    if ended.code not in codes:
        return f"exit code {ended.code}: {ended.err[-300:]!r}"
    if "Traceback" in ended.err:
        return f"a traceback: {ended.err[-300:]!r}"
    if not all(line.isprintable() for line in (ended.out + ended.err).split("\n")):
        return "characters that act on a terminal"
    if ended.code != 2:
        return ""
    rest = [line for line in ended.err.split("\n") if line and not line.startswith(NOTES)]
    if len(rest) != 1 or not rest[0].startswith(ERROR):
        return f"not one line: {ended.err[-300:]!r}"
    if len(rest[0]) > LONGEST:
        return f"a line of {len(rest[0])} characters"
    if ";" not in rest[0] and "see '" not in rest[0]:
        return f"no remedy: {rest[0]!r}"
    return ""


def tree(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything below a folder: kind and permissions, and the sum of what regular files hold."""
    found: dict[str, tuple[Any, ...]] = {}
    for place, folders, files in os.walk(os.fsencode(folder)):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            what: Any = None
            if stat.S_ISLNK(mode):
                what = os.readlink(path)
            elif stat.S_ISREG(mode):
                size = os.lstat(path).st_size
                what = size
                if size < 2**24:
                    with open(path, "rb") as file:
                        what = hashlib.sha1(file.read()).digest()
            found[os.fsdecode(path)] = (mode, what)
    return found


@dataclass
class Bench:
    """A folder with a data set and a run, in which attacks are tried and counted.

    Attributes:
        folder: everything that attacks make and commands may write.
        program: the arguments of Python that start the command line.
        seconds: that one attack may take.
        memory: bytes that one attack may take within this process, beside what it has.
        trace: a file that holds the name of the attack being tried, in case that none survives it.
    """

    folder: Path
    program: tuple[str, ...] = ("-m", "minidl")
    seconds: float = 30.0
    memory: int = 400 * 2**20
    trace: Path | None = None
    tries: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    peak: int = 0

    def __post_init__(self) -> None:
        self.data, self.run = self.folder / "data", self.folder / "run"
        write_squares(self.data, {"train": 6, "val": 2, "test": 2})
        self.prepare("train", self.data, "--out", self.run, *SMALL)

    def judge(self, name: str, why: str) -> None:
        """Count one attack; ``why`` says what went wrong."""
        self.tries += 1
        if why:
            self.failures.append((name, why))

    def call(
        self,
        name: str,
        *arguments: object,
        codes: Iterable[int] = (0, 2),
        writes: Iterable[Path] = (),
        watched: Path | None = None,
        expect: Callable[[Ended], str] = lambda ended: "",
    ) -> Ended:
        """Try a command within this process.

        Args:
            name: of the attack.
            arguments: of the command.
            codes: exit codes that count as survived.
            writes: files and folders that it may change.
            watched: where nothing else may change; by default the whole folder.
            expect: says what else is wrong with the end; "" if nothing is.
        """
        with self._judging(name, watched or self.folder, writes) as judged:
            ended = self.within(arguments)
            judged(ended, complaint(ended, codes) or expect(ended))
        return ended

    def process(
        self,
        name: str,
        *arguments: object,
        codes: Iterable[int] = (0, 2),
        writes: Iterable[Path] = (),
        watched: Path | None = None,
        expect: Callable[[Ended], str] = lambda ended: "",
        before: str = "",
        after: str = "",
        env: dict[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Ended:
        """Try a command as a process of its own; ``before`` and ``after`` it stand in a shell's line.

        ``env``: variables; None takes one away.
        """
        variables = {**environment(), **(env or {})}
        given = {k: v for k, v in variables.items() if v is not None}
        script = f'{before} exec "$0" "$@" {after}'
        command = ["sh", "-c", script, sys.executable, *self.program, *map(str, arguments)]
        with self._judging(name, watched or self.folder, writes) as judged:
            try:
                done = subprocess.run(
                    command, cwd=cwd or self.folder, env=given, capture_output=True, timeout=4 * self.seconds
                )
                texts = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
                ended = Ended(done.returncode, *texts)
            except subprocess.TimeoutExpired:
                ended = Ended(0, raised=f"nothing for {4 * self.seconds:.0f} s")
            judged(ended, complaint(ended, codes) or expect(ended))
        return ended

    def attempt(
        self,
        name: str,
        action: Callable[[], object],
        writes: Iterable[Path] = (),
        watched: Path | None = None,
    ) -> None:
        """Try something of the library: it may raise an InputError, and nothing else."""
        from minidl.errors import InputError

        def run() -> Ended:
            try:
                action()
            except InputError as error:
                return Ended(2, err=f"{ERROR}{error}\n")
            return Ended(0)

        with self._judging(name, watched or self.folder, writes) as judged:
            ended = self._limited(run)
            judged(ended, complaint(ended, (0, 2)))

    def prepare(self, *arguments: object, code: int = 0) -> None:
        """Run a command that is no attack, and must end with this code."""
        ended = self.within(arguments, seconds=600)
        assert ended.code == code and not ended.raised, ended

    def within(self, arguments: Iterable[object], seconds: float | None = None) -> Ended:
        """Run a command within this process; nothing is judged."""
        from minidl.cli import main

        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))

        def run() -> Ended:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                return Ended(main([str(a) for a in arguments]))

        ended = self._limited(run, seconds)
        ended.out, ended.err = (s.buffer.getvalue().decode("utf-8", "replace") for s in (out, err))  # type: ignore[attr-defined]
        return ended

    def _limited(self, action: Callable[[], Ended], seconds: float | None = None) -> Ended:
        """Run it with a limit of time; whatever it raises becomes a text."""

        def hang(*_: object) -> None:
            raise Hang

        before = {n: signal.getsignal(n) for n in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGALRM, hang)
        signal.setitimer(signal.ITIMER_REAL, seconds or self.seconds)
        try:
            return action()
        except Hang:
            return Ended(0, raised=f"nothing for {self.seconds:.0f} s")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
            return Ended(0, raised=said)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _judging(
        self, name: str, watched: Path, writes: Iterable[Path]
    ) -> Iterator[Callable[[Ended, str], None]]:
        if self.trace is not None:
            self.trace.write_text(name[:500], encoding="utf-8", errors="backslashreplace")
        allowed = tuple(os.fsdecode(path) for path in writes)
        before, held = tree(watched), _forget_peak()
        result: list[tuple[Ended, str]] = []
        yield lambda ended, why: result.append((ended, why))
        ended, why = result[0]
        taken = _peak() - held
        self.peak = max(self.peak, taken)
        if not why and taken > self.memory:
            why = f"took {taken // 2**20} MiB"
        self.judge(name, why or _changes(before, tree(watched), allowed, refused=ended.code == 2))


def _changes(
    before: dict[str, tuple[Any, ...]],
    now: dict[str, tuple[Any, ...]],
    allowed: tuple[str, ...],
    refused: bool,
) -> str:
    """What became of the files."""
    for path in now.keys() | before.keys():
        name = os.path.basename(path)
        if path not in before and (name.endswith(".minidl-tmp") or name == ".minidl-lock"):
            return f"left behind: {path!r}"
        if before.get(path) == now.get(path):
            continue
        if refused and path not in before:
            return f"refused, but wrote {path!r}"
        if refused or not any(path == a or path.startswith(a + os.sep) for a in allowed):
            return f"lost or changed: {path!r}" if path in before else f"wrote {path!r}"
    return ""


def _forget_peak() -> int:
    """Begin to measure the most memory that this process takes; what it has now. 0 where that cannot be."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return _peak()


def _peak() -> int:
    try:
        for line in Path("/proc/self/status").read_text().split("\n"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def has(*path: str, option: str) -> bool:
    """Whether a command of this version takes an option: earlier ones are attacked, too."""
    import click

    from minidl.cli import cli

    command: Any = cli
    for name in path:
        command = command.get_command(click.Context(command), name)
    return any(option in parameter.opts for parameter in command.params)


def limited(*path: str, mebibytes: int = 16) -> tuple[str, ...]:
    """``--picture-memory``, where there is one."""
    return (f"--picture-memory={mebibytes}",) if has(*path, option="--picture-memory") else ()


@contextlib.contextmanager
def stopping_after(count: int) -> Iterator[None]:
    """Trainings are asked to stop when they ask for the count-th time, as by Ctrl-C."""
    from minidl.train import Trainer

    run = Trainer.run
    with patch.object(Trainer, "run", lambda trainer, *_: run(trainer, stop_after(count))):
        yield


def drawn(rng: random.Random, cases: list[Any], count: int) -> list[Any]:
    """So many of them, in an order of its own."""
    return rng.sample(cases, min(count, len(cases)))
