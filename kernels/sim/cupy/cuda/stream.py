"""Streams and events of the simulated devices: asynchronous copies are done late, and that is noticed.

Kernels and array functions run at once, whatever the stream. A copy between an array and pinned host memory
in a stream of one's own is only *noted*; it is done when somebody waits for the stream or for an event behind
it. That is the latest moment at which a GPU may do it, so what is wrong with code that does not wait shows:
an array that is used before its copy was waited for raises, and pinned memory that is overwritten too early
brings the new numbers.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

_streams: weakref.WeakSet[Stream] = weakref.WeakSet()


class NotWaitedFor(RuntimeError):
    """An array was used while a copy in another stream, not waited for, may still be going on."""


class Stream:
    """A stream; as a context, the current one."""

    null: Stream

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        self.is_null = null
        self.non_blocking = non_blocking
        self.ptr = 0 if null else id(self)
        self._work: list[Callable[[], None]] = []
        self._before: list[Token[Stream | None]] = []
        _streams.add(self)

    def synchronize(self) -> None:
        """Wait until everything is done that the stream was given."""
        work, self._work = self._work, []
        for do in work:
            do()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self._work

    def record(self, event: Event | None = None) -> Event:
        """Have an event mark this place in the stream."""
        event = event or Event()
        event._stream = self
        event._pending, event._time = list(self._work), time.perf_counter()
        return event

    def wait_event(self, event: Event) -> None:
        """What is put into this stream from here on runs after the event."""
        event._finish()

    def use(self) -> Stream:
        """Make it the current stream."""
        _current.set(self)
        return self

    def __enter__(self) -> Stream:
        self._before.append(_current.set(self))
        return self

    def __exit__(self, *exc: object) -> None:
        _current.reset(self._before.pop())

    def __repr__(self) -> str:
        return f"<Stream {self.ptr}>"


Stream.null = Stream(null=True)
_current: ContextVar[Stream | None] = ContextVar("minidl_simulated_stream", default=None)


def get_current_stream(device_id: int = -1) -> Stream:
    """The stream that work is put into now."""
    return _current.get() or Stream.null


def synchronize_all() -> None:
    """Wait for all streams."""
    for stream in list(_streams):
        stream.synchronize()


def later(block: Any, copy: Callable[[], None], stream: Stream) -> None:
    """Have ``stream`` do a copy from or to a block of memory, at the latest moment."""
    block.pending = [*block.pending, stream]

    def do() -> None:
        block.pending = block.pending[1:]
        copy()

    stream._work.append(do)


class Event:
    """A mark in a stream that can be waited for."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.disable_timing = disable_timing
        self._stream: Stream | None = None
        self._pending: list[Callable[[], None]] = []
        self._time = 0.0

    def record(self, stream: Stream | None = None) -> None:
        """Mark this place in a stream, by default in the current one."""
        (stream or get_current_stream()).record(self)

    def synchronize(self) -> None:
        """Wait until what lies before the mark is done."""
        self._finish()

    @property
    def done(self) -> bool:
        """Whether what lies before the mark is done."""
        return self._stream is None or not any(do in self._stream._work for do in self._pending)

    def _finish(self) -> None:
        if self._stream is None:
            return
        for do in self._pending:
            if do in self._stream._work:
                self._stream._work.remove(do)
                do()


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds between two events, of this machine's clock: never a GPU's time."""
    if start_event.disable_timing or end_event.disable_timing:
        raise RuntimeError("cudaErrorInvalidResourceHandle: an event was made with disable_timing")
    return (end_event._time - start_event._time) * 1e3
