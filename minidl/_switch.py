"""A setting of the context that holds within a block or a decorated function."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from typing import Any, ClassVar, TypeVar

Self = TypeVar("Self", bound="Switch")


class Held:
    """What one block set, and what held around it."""

    __slots__ = ("ended", "outer", "token", "value")

    def __init__(self, value: Any, outer: Held | None) -> None:
        self.value, self.outer, self.ended = value, outer, False
        self.token: Token[Held | None] | None = None


class Setting:
    """A value of the context, set by blocks that may end in any order and in any context.

    A block in a suspended generator or coroutine may end long after the blocks around it, or in a context
    that it did not begin in: whoever closes a generator (the garbage collector, an event loop) does so in
    their own. Such an end changes nothing of the context that it happens in; the one in which the block began
    sees that it has ended.

    >>> setting = Setting("example", default=0)
    >>> first = setting.begin(1); second = setting.begin(2)
    >>> setting.end(first)  # out of order: what the second block set still holds
    >>> setting.get()
    2
    >>> setting.end(second); setting.get()
    0
    """

    def __init__(self, name: str, default: Any) -> None:
        self._held: ContextVar[Held | None] = ContextVar(name, default=None)
        self._default = default

    def get(self) -> Any:
        """The value of the innermost block that has not ended."""
        held = self._held.get()
        while held is not None and held.ended:
            held = held.outer
        return self._default if held is None else held.value

    def open(self) -> Iterator[Held]:
        """The blocks of this context that have not ended, the innermost first."""
        held = self._held.get()
        while held is not None:
            if not held.ended:
                yield held
            held = held.outer

    def begin(self, value: Any) -> Held:
        """Set the value until :meth:`end`."""
        held = Held(value, next(self.open(), None))
        held.token = self._held.set(held)
        return held

    def end(self, held: Held) -> None:
        """What held before the block holds again, in the context where it began."""
        innermost, token, held.token = self._held.get(), held.token, None
        if token is None:
            return
        try:
            self._held.reset(token)
        except ValueError:  # another context, whose own blocks go on
            held.ended = True
            return
        if innermost is not held:  # blocks that began later go on
            held.ended = True
            self._held.set(innermost)


class Switch(contextlib.ContextDecorator):
    """Sets a context variable within a ``with`` block or a decorated function; subclasses say which.

    The state is local to the thread (more exactly, to the context: see :mod:`contextvars`). A decorated
    generator or coroutine has it whenever its own code runs, and whoever runs it has theirs in between.
    """

    variable: ClassVar[Setting]

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self: Self) -> Self:
        self.__dict__.setdefault("_stack", []).append(self.variable.begin(self.mode))
        return self

    def __exit__(self, *exc: object) -> None:
        stack: list[Held] = self.__dict__["_stack"]
        # One object may be entered in several threads: each of them leaves its own block.
        held = next((block for block in self.variable.open() if block in stack), stack[-1])
        stack.remove(held)
        self.variable.end(held)

    def _recreate_cm(self: Self) -> Self:
        """A fresh one for each call: a decorated function may run in several threads."""
        fresh = object.__new__(type(self))
        fresh.mode = self.mode
        return fresh

    def __call__(self, function: Callable[..., Any]) -> Any:
        if inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{type(self).__name__}: cannot decorate the asynchronous generator {function.__name__}; "
                "use a with block inside of it"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def coroutine(*args: Any, **options: Any) -> Any:
                with self._recreate_cm():
                    return await function(*args, **options)

            return coroutine
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **options: Any) -> Any:
                return _resumed_within(self._recreate_cm, function(*args, **options))

            return generator
        return super().__call__(function)


def _resumed_within(switch: Callable[[], Switch], generator: Any) -> Any:
    """A generator that runs another one, each stretch of it within the switch, and passes all on."""
    resume: Callable[[], Any] = functools.partial(next, generator)
    while True:
        try:
            with switch():
                value = resume()
        except StopIteration as end:
            return end.value
        try:
            sent = yield value
            resume = functools.partial(generator.send, sent)
        except GeneratorExit:
            with switch():
                generator.close()
            raise
        except BaseException as error:
            resume = functools.partial(generator.throw, error)
