"""A setting of the context that holds within a block or a decorated function."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

Self = TypeVar("Self", bound="Switch")


class Switch(contextlib.ContextDecorator):
    """Sets a context variable within a ``with`` block or a decorated function; subclasses say which.

    The state is local to the thread (more exactly, to the context: see :mod:`contextvars`). A decorated
    generator or coroutine has it whenever its own code runs, and whoever runs it has theirs in between.
    """

    variable: ClassVar[ContextVar[Any]]

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self: Self) -> Self:
        self._stack = [*getattr(self, "_stack", ()), self.variable.set(self.mode)]
        return self

    def __exit__(self, *exc: object) -> None:
        self.variable.reset(self._stack.pop())

    def _recreate_cm(self: Self) -> Self:
        """A fresh one for each call: a decorated function may run in several threads."""
        fresh = object.__new__(type(self))
        fresh.mode = self.mode
        return fresh

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
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
