"""What lies below a module: walks over submodules, parameters and buffers, and what is done to all of them.

Order and names are torch's, and so is what becomes of something that is there twice: a walk gives it once,
under the first of its names, unless it is asked for duplicates; :meth:`children` does so for the modules
directly below, :meth:`modules` for the whole tree. A module's own place says nothing of that: a layer that
stands twice in a Sequential runs twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from minidl._tensor import Tensor
from minidl.autograd.clearing import clear_gradients

if TYPE_CHECKING:
    from minidl.nn.module import Module
    from minidl.nn.parameter import Parameter

Self = TypeVar("Self", bound="Walks")


class Walks:
    """What :class:`~minidl.nn.Module` inherits: everything that goes through the tree of its submodules."""

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with dotted names.

        Args:
            memo: modules that are left out; those that are given are added to it.
            prefix: the name of this module itself.
            remove_duplicate: give each once, under the first of its names; else under all of them.

        >>> from minidl import nn
        >>> layer = nn.ReLU()
        >>> twice = nn.Sequential(layer, layer)
        >>> [name for name, _ in twice.named_modules()]
        ['', '0']
        >>> [name for name, _ in twice.named_modules(remove_duplicate=False)]
        ['', '0', '1']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, cast("Module", self)
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, _joined(prefix, name), remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once unless ``remove_duplicate`` is False."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, each once, under the first of its names."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one, each once."""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters under dotted names, in the order of their creation.

        Args:
            prefix: stands before all names.
            recurse: with those of the modules below; else this module's own.
            remove_duplicate: give each once, under the first of its names; else under all of them.

        >>> from minidl import nn
        >>> [name for name, _ in nn.Sequential(nn.Linear(2, 3)).named_parameters(prefix="net")]
        ['net.0.weight', 'net.0.bias']
        """
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once; without ``recurse`` this module's own."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers under dotted names; arguments as :meth:`named_parameters`."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once; without ``recurse`` this module's own."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules: Any = [(prefix, self)]
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for place, module in modules:
            for name, value in getattr(module, table).items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield _joined(place, name), value

    def apply(self: Self, fn: Callable[[Module], None]) -> Self:
        """Call ``fn`` on every module, those below first."""
        for module in self.children():
            module.apply(fn)
        fn(cast("Module", self))
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Training behaviour (dropout drops, batch normalisation uses the batch), here and in all below.

        Each module below is asked through its own ``train``: one that defines it otherwise, to stay frozen
        for example, is heeded.

        Raises:
            ValueError: the mode is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Evaluation behaviour; the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Let the parameters learn, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients: ``.grad`` becomes None, or with ``set_to_none=False`` zeros in its place."""
        clear_gradients(self.parameters(), set_to_none)


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
