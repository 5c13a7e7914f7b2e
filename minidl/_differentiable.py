"""What a tensor has to do with gradients: whether it wants one, where it is kept, who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl._device import device_of
from minidl._handles import Hook, HookHandle
from minidl.dispatch import array_module

if TYPE_CHECKING:
    from minidl._handles import Version
    from minidl._tensor import Tensor
    from minidl.autograd import Node


class Differentiable:
    """What :class:`~minidl.Tensor` inherits: its gradient and its place in the graph."""

    __slots__ = (
        "_grad",
        "_index",
        "_leaf_hooks",
        "_node",
        "_requires_grad",
        "_retains_grad",
        "_version",
    )

    data: Any
    dtype: Any
    shape: Any
    device: Any
    _grad: Tensor | None
    _node: Node | None
    _index: int
    _version: Version
    _leaf_hooks: dict[HookHandle, Hook] | None
    _requires_grad: bool
    _retains_grad: bool

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded on the tape."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.data.dtype.kind != "f":
            raise RuntimeError(
                f"requires_grad: only floating-point tensors have gradients, this one is {self.dtype}"
            )
        if not value and self._node is not None:
            raise RuntimeError("requires_grad: cannot be taken from a computed tensor; use detach()")
        self._requires_grad = bool(value)

    def requires_grad_(self: Any, requires_grad: bool = True) -> Tensor:
        """Set :attr:`requires_grad` and return the tensor itself."""
        self.requires_grad = requires_grad
        tensor: Tensor = self
        return tensor

    @property
    def grad_fn(self) -> Node | None:
        """The tape node that computed this tensor, or ``None`` for a leaf."""
        return self._node

    @property
    def is_leaf(self) -> bool:
        """True if no recorded operation made this tensor: only leaves collect gradients in ``.grad``."""
        return self._node is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient: None, or a tensor of this one's shape, dtype and device; assigning checks that.

        >>> import minidl
        >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
        >>> x.grad = minidl.tensor([1.0, 2.0, 3.0])
        Traceback (most recent call last):
        RuntimeError: grad: a gradient of shape (3,) for a tensor of shape (2,)
        """
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        if gradient is not None:
            if not isinstance(gradient, Differentiable):
                raise TypeError(
                    f"grad: must be a tensor or None, got {type(gradient).__name__}; make a tensor of it, "
                    "e.g. with minidl.tensor"
                )
            if gradient is self:
                raise RuntimeError("grad: a tensor cannot be its own gradient")
            check_gradient("grad", gradient.data, self.data)
        self._grad = gradient

    def backward(
        self: Any, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add this tensor's gradients to ``.grad`` of every leaf it depends on.

        Arguments and errors as :func:`minidl.autograd.backward`.

        >>> import minidl
        >>> x = minidl.tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4., 6.])
        """
        from minidl import autograd

        autograd.backward(self, gradient, retain_graph, create_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call ``hook(gradient)`` when this tensor's gradient is known; what it returns replaces it.

        The hook may return None, or a gradient of the same shape, dtype and device. The gradient that it gets
        is a copy of its own.

        Returns:
            a handle, whose ``remove()`` takes the hook off again.

        Raises:
            RuntimeError: this tensor does not require a gradient.

        >>> import minidl
        >>> x = minidl.tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda gradient: gradient * 10)
        >>> x.sum().backward()
        >>> x.grad
        tensor([10., 10.])
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: this tensor does not require a gradient")
        if self._node is None:
            hooks = self._leaf_hooks = self._leaf_hooks or {}
        else:
            hooks = self._node.hooks.setdefault(self._index, {})
        return HookHandle(hooks, hook)

    def retain_grad(self) -> None:
        """Have ``.grad`` filled in for this computed tensor too (by default only leaves keep theirs).

        What is kept is the gradient after all hooks, whenever they were registered.

        Raises:
            RuntimeError: this tensor does not require a gradient.
        """
        if not self.requires_grad:
            raise RuntimeError("retain_grad: this tensor does not require a gradient")
        if self._node is None or self._retains_grad:
            return
        self._retains_grad = True
        self._node.kept.setdefault(self._index, []).append(self._keep)

    def _keep(self: Any, cotangent: Any) -> None:
        """Add a cotangent to :attr:`grad`."""
        array = cotangent.data if isinstance(cotangent, Differentiable) else cotangent
        total = array if self._grad is None else self._grad.data + array
        self.grad = type(self)._of(array_module(total).array(total, order="C"))

    # -- copies ----------------------------------------------------------------------------------------------

    def __copy__(self: Any) -> Any:
        """A leaf that shares the memory; as torch's, it has no hooks and no gradient."""
        self._refuse_computed("copy")
        made = type(self)._of(self.data, self._requires_grad)
        made._version = self._version
        return made

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        """A leaf with memory of its own and a copy of the gradient, but without hooks, as torch's."""
        if id(self) in memo:
            return memo[id(self)]
        self._refuse_computed("deepcopy")
        made = memo[id(self)] = type(self)._of(_copied(self.data), self._requires_grad)
        if self._grad is not None:
            made.grad = self._grad.__deepcopy__(memo)
        return made

    def _refuse_computed(self, operation: str) -> None:
        if self._node is not None:
            raise RuntimeError(
                f"{operation}: a computed tensor ({self._node.name()}, shape {self.shape}) belongs to a"
                " graph, which is not copied; copy x.detach(), or take x.clone(), which is part of the graph"
            )


def check_gradient(operation: str, gradient: Any, array: Any) -> None:
    """Raise unless a gradient belongs to an array: both are arrays.

    Raises:
        RuntimeError: another shape, dtype or device.
    """
    if gradient.shape != array.shape:
        raise RuntimeError(
            f"{operation}: a gradient of shape {tuple(gradient.shape)}"
            f" for a tensor of shape {tuple(array.shape)}"
        )
    if gradient.dtype != array.dtype:
        raise RuntimeError(f"{operation}: a gradient of {gradient.dtype} for a tensor of {array.dtype}")
    if type(gradient) is not np.ndarray or type(array) is not np.ndarray:
        here, there = device_of(gradient), device_of(array)
        if here != there:
            raise RuntimeError(f"{operation}: a gradient on {here} for a tensor on {there}")


def _copied(array: Any) -> Any:
    """A copy in the same memory order."""
    return array.copy(order="K") if isinstance(array, np.ndarray) else array.copy()
