"""Modules made of modules."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from minidl.nn.module import Module

Self = TypeVar("Self", bound="_Row")


class _Row(Module):
    """What Sequential and ModuleList share: modules in a row, named "0", "1", ...

    The row is what was put into it: a module that stands in it twice counts, runs and comes twice, while
    ``children()`` gives it once.
    """

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        """One module, or with a slice a row of the same class."""
        if isinstance(index, slice):
            return self._of(list(self._modules.items())[index])
        return self._modules[self._name(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        row = list(self._modules.values())
        del row[index if isinstance(index, slice) else self._place(index)]
        self._put(row)

    def append(self: Self, module: Module) -> Self:
        """Add one at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self: Self, modules: Iterable[Module]) -> Self:
        """Add several at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self: Self, index: int, module: Module) -> Self:
        """Put one before the one at ``index``, or at the end.

        Raises:
            TypeError: no module.
            IndexError: no such place.
        """
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a module, got {type(module).__name__}")
        row = list(self._modules.values())
        row.insert(index if index == len(row) else self._place(index), module)
        self._put(row)
        return self

    def _put(self, modules: list[Module]) -> None:
        self._modules.clear()
        self._modules.update((str(i), module) for i, module in enumerate(modules))

    def _of(self, named: list[tuple[str, Module]]) -> Any:
        return type(self)([module for _, module in named])  # type: ignore[call-arg]

    def _place(self, index: int) -> int:
        """The index, counted from 0."""
        place, count = operator.index(index), len(self)
        if not -count <= place < count:
            raise IndexError(
                f"{type(self).__name__}: index {index} is out of range, there are {count} modules"
            )
        return place % count

    def _name(self, index: int) -> str:
        return list(self._modules)[self._place(index)]


class Sequential(_Row):
    """Modules one after the other, named "0", "1", ..., or as the keys of a dictionary that is given instead.

    >>> import minidl
    >>> from minidl import nn
    >>> nn.Sequential(nn.ReLU(), nn.Sigmoid())(minidl.tensor([-1.0, 0.0]))
    tensor([0.5, 0.5])
    >>> layer = nn.Linear(1, 1)
    >>> nn.Sequential(layer, nn.ReLU(), layer)[1:]     # a layer that stands there twice runs twice
    Sequential(
      (1): ReLU()
      (2): Linear(1, 1, bias=True)
    )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0] if len(args) == 1 and isinstance(args[0], Mapping) else dict(enumerate(args))
        for name, module in named.items():
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def extend(self: Self, sequential: Iterable[Module]) -> Self:
        """Add several at the end."""
        return super().extend(sequential)

    def _of(self, named: list[tuple[str, Module]]) -> Any:
        return type(self)(dict(named))


class ModuleList(_Row):
    """A list of modules that the parent knows of; it computes nothing itself."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)
