"""What hangs on a tensor beside its array: the version of its memory, and the handles of its hooks."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

Hook = Callable[..., Any]


class Version:
    """How often the memory of a tensor (and of all its views) was changed in place."""

    __slots__ = ("users", "value")

    def __init__(self) -> None:
        self.value = 0
        self.users: list[weakref.ref[Any]] | None = None  # the tensors that are views of one another, if any

    def add_view(self, base: Any, view: Any) -> None:
        """Note that a tensor is a view of another one, both of which have this version."""
        self.users = [user for user in self.users or [weakref.ref(base)] if user() is not None]
        self.users.append(weakref.ref(view))

    def has_other_users(self, tensor: Any) -> bool:
        """Whether views of the tensor, or what it is a view of, are still there."""
        others = (user() for user in self.users or ())
        return any(other is not None and other is not tensor for other in others)


class HookHandle:
    """What registering a hook gives: ``remove()`` takes the hook off again, as does leaving ``with handle:``.

    Calling the handle is the same as ``remove()``. In the table of hooks it is the hook's key.
    """

    __slots__ = ("_table",)

    def __init__(self, table: dict[HookHandle, Hook], hook: Hook) -> None:
        self._table = table
        table[self] = hook

    def remove(self) -> None:
        """Take the hook off; doing it twice does no harm."""
        self._table.pop(self, None)

    def __call__(self) -> None:
        self.remove()

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
