"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from minidl._device import on
from minidl._tensor import Tensor
from minidl.dispatch import array_module, kernels
from minidl.optim.optimizer import Optimizer
from minidl.optim.options import Reader, flag, in_range, number
from minidl.optim.placing import Row


class SGD(Optimizer):
    """W ← W - α ∂L/∂W, the update of equation E9 with the sign that the document leaves open.

    With weight decay λ, momentum μ and dampening τ, as torch:

        g ← g + λ w
        v ← μ v + (1 - τ) g                     (at first v = g)
        w ← w - α v, with ``nesterov`` w ← w - α (g + μ v)

    Args:
        params: parameters, or groups of them as dictionaries.
        lr: α.
        momentum, dampening, weight_decay, nesterov: see above.

    Each number may also be NumPy's, or a tensor of one element, which every step reads anew.

    Raises:
        TypeError: an option is no number.
        ValueError: no parameters, or an option out of range.

    >>> import minidl
    >>> w = minidl.nn.Parameter(minidl.tensor([1.0]))
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step(); w
    tensor([0.8], requires_grad=True)
    """

    alike = ("momentum_buffer",)
    options: ClassVar[dict[str, Reader]] = {
        "lr": number,
        "momentum": number,
        "dampening": number,
        "weight_decay": number,
        "nesterov": flag,
    }

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-3,
        momentum: float | Tensor = 0.0,
        dampening: float | Tensor = 0.0,
        weight_decay: float | Tensor = 0.0,
        nesterov: bool = False,
    ) -> None:
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            in_range(name, "SGD", value)
        damped = in_range("dampening", "SGD", dampening, low=-math.inf) != 0
        if flag("nesterov", "SGD", nesterov) and (number("momentum", "SGD", momentum) <= 0 or damped):
            raise ValueError("SGD: nesterov needs a momentum and no dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, defaults)

    def update_all(self, rows: list[Row], group: dict[str, Any]) -> None:
        """The step of all parameters of a group on one device."""
        given, momentum = [], group["momentum"]
        for w, g, state in rows:
            first = bool(momentum) and "momentum_buffer" not in state
            if first:
                with on(w):
                    state["momentum_buffer"] = array_module(w).empty_like(w)
            given.append((w, g, state["momentum_buffer"] if momentum else None, first))
        kernels("sgd", rows[0][0]).step(given, *(group[name] for name in self.options))
