"""Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minidl._device import on
from minidl._tensor import Tensor
from minidl.dispatch import array_module, kernels
from minidl.optim.optimizer import Optimizer
from minidl.optim.options import Reader, in_range, number
from minidl.optim.options import betas as two_betas
from minidl.optim.placing import Row


class Adam(Optimizer):
    """Steps scaled by running moments of the gradient; the optimizer of the documents' U-Net.

        m ← β₁ m + (1 - β₁) g,      v ← β₂ v + (1 - β₂) g²
        w ← w - α · m̂ / (√v̂ + ε),   m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ)

    The division by 1 - βᵗ makes up for the moments having started at zero. Weight decay λ first adds λ w to
    the gradient.

    Args:
        params: parameters, or groups of them as dictionaries.
        lr: α.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.

    Each number may also be NumPy's, or a tensor of one element, which every step reads anew.

    Raises:
        TypeError: an option is no number.
        ValueError: no parameters, or an option out of range.

    >>> import minidl
    >>> w = minidl.nn.Parameter(minidl.tensor([1.0]))
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step(); w            # the first step has length lr, whatever the gradient
    tensor([0.90000004], requires_grad=True)
    """

    decoupled = False
    alike = ("exp_avg", "exp_avg_sq")
    options: ClassVar[dict[str, Reader]] = {
        "lr": number,
        "betas": two_betas,
        "eps": number,
        "weight_decay": number,
    }

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float | Tensor = 1e-8,
        weight_decay: float | Tensor = 0.0,
    ) -> None:
        for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
            in_range(name, type(self).__name__, value)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def update_all(self, rows: list[Row], group: dict[str, Any]) -> None:
        """The step of all parameters of a group on one device."""
        for w, _, state in rows:
            if not state:
                xp = array_module(w)
                with on(w):
                    state.update(step=0, exp_avg=xp.zeros_like(w), exp_avg_sq=xp.zeros_like(w))
            state["step"] = int(state["step"]) + 1
        kernels("adam", rows[0][0]).step(
            [(w, g, state["exp_avg"], state["exp_avg_sq"], state["step"]) for w, g, state in rows],
            *(group[name] for name in self.options),
            decoupled=self.decoupled,
        )


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: w ← (1 - α λ) w before the step.

    The decay then does not shrink where gradients are large. Arguments as :class:`Adam`, with
    ``weight_decay=0.01`` by default.

    >>> import minidl
    >>> w = minidl.nn.Parameter(minidl.tensor([1.0]))
    >>> w.grad = minidl.tensor([0.0])
    >>> AdamW([w], lr=0.1, weight_decay=0.5).step(); w
    tensor([0.95], requires_grad=True)
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float | Tensor = 1e-8,
        weight_decay: float | Tensor = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
