"""What batch, layer, instance and group normalisation share: they differ only in which values form a group.

Notation: x is seen as (N, C, M); what forms a group is either a channel over the whole batch, or some
channels of one image (for layer normalisation, N rows of C places with M = 1: all places of a row). A group
has mean μ, biased variance σ² and x̂ = (x - μ) / √(σ² + ε). γ and β belong to the channels (places). g is the
cotangent of y, means run over a group.

    forward    y = γ x̂ + β
    backward   dβ = Σ g,  dγ = Σ g x̂,  and with h = γ g
               dx = (h - mean h - x̂ · mean(h x̂)) / √(σ² + ε)
               where μ and σ² were given instead of taken from x: dx = h / √(σ² + ε)

x̂ is not kept: the input is there anyway, and (x - μ) / √(σ² + ε) costs less than the memory.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from minidl._device import on, place_of
from minidl._tensor import Tensor
from minidl.autograd import Function, Node, is_recomputing
from minidl.dispatch import array_module, kernels
from minidl.kernels.scaling import power_of_two
from minidl.ops.reductions import Centre
from minidl.ops.reductions import mean as mean_of
from minidl.ops.reductions import sum as sum_of


class View(NamedTuple):
    """How an input is seen."""

    rows: tuple[int, int, int]  #: (N, C, M): weight and bias run along the middle axis
    groups: int | None  #: groups of channels in each image; None: every channel over all images
    shape: tuple[int, ...]  #: that of weight and bias themselves

    @property
    def grouped(self) -> tuple[int, int, int]:
        """(A, B, M'): a group is a place on the middle axis."""
        n, c, m = self.rows
        return self.rows if self.groups is None else (1, n * self.groups, c // max(1, self.groups) * m)


def channel_view(shape: tuple[int, ...], groups: int | None = None) -> View:
    """An input (N, C, ...) with weight and bias for each channel; the channels are the groups by default."""
    return View((shape[0], shape[1], math.prod(shape[2:])), groups, shape[1:2])


class Normalize(Function):
    """y = γ x̂ + β with the statistics of x; arrays of μ and σ² (biased) are added to a list that is given."""

    @staticmethod
    def forward(
        ctx: Node, x: Any, weight: Any, bias: Any, *, view: View, eps: float, statistics: Any = None
    ) -> Any:
        ctx.kernels, ctx.view, ctx.eps = kernels("normalize", x), view, eps
        y, mean, var, inv_std = ctx.kernels.forward(
            x.reshape(view.rows), _flat(weight), _flat(bias), view.groups, eps
        )
        ctx.save(x, weight, mean, inv_std)
        if statistics is not None:
            statistics += [mean, var]
        return y.reshape(x.shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, weight, mean, inv_std = ctx.saved
        g, rows = g.reshape(ctx.view.rows), x.reshape(ctx.view.rows)
        gradients = ctx.kernels.backward(
            g, rows, _flat(weight), mean, inv_std, ctx.view.groups, ctx.needs_input_grad
        )
        return _shaped(ctx, x.shape, gradients)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, weight, _, inv_std = ctx.saved  # mean and deviation move with x: computed once more, by operations

        def group_mean(t: Tensor) -> Tensor:
            return mean_of(t, (0, 2), keepdim=True)

        # (x - μ) / k and ε/k², k being the power of two next to √(σ² + ε): so squares stay in range.
        k = _power_of_two(inv_std)
        centred = Centre.apply(x.reshape(ctx.view.grouped), axes=(0, 2)) / k
        inv_std = (group_mean(centred * centred) + ctx.eps / k / k) ** -0.5
        xhat = centred * inv_std
        h, dweight, dbias = _towards(ctx, g, xhat, weight)
        dx = inv_std * (h - group_mean(h) - xhat * group_mean(h * xhat)) / k
        return dx.reshape(x.shape), dweight, dbias


class NormalizeBy(Function):
    """y = γ x̂ + β with given μ and σ²."""

    @staticmethod
    def forward(
        ctx: Node, x: Any, weight: Any, bias: Any, *, view: View, mean: Any, var: Any, eps: float
    ) -> Any:
        ctx.kernels, ctx.view = kernels("normalize", x), view
        mean, inv_std = mean.astype(x.dtype), (1 / array_module(var).sqrt(var + eps)).astype(x.dtype)
        ctx.save(x, weight, mean, inv_std)
        return ctx.kernels.forward_given(x.reshape(view.rows), weight, bias, mean, inv_std).reshape(x.shape)

    @staticmethod
    def backward(ctx: Node, g: Any) -> Any:
        x, weight, mean, inv_std = ctx.saved
        g, rows = g.reshape(ctx.view.rows), x.reshape(ctx.view.rows)
        gradients = ctx.kernels.backward_given(g, rows, weight, mean, inv_std, ctx.needs_input_grad)
        return _shaped(ctx, x.shape, gradients)

    @staticmethod
    def tensor_backward(ctx: Node, g: Any) -> Any:
        x, weight, mean, inv_std = ctx.saved
        inv_std = inv_std.reshape((1, -1, 1))
        xhat = (x.reshape(ctx.view.rows) - mean.reshape((1, -1, 1))) * inv_std
        h, dweight, dbias = _towards(ctx, g, xhat, weight)
        return (h * inv_std).reshape(x.shape), dweight, dbias

    @classmethod
    def operation(cls) -> str:
        return super().operation().removesuffix("_eval")


def _power_of_two(inv_std: Tensor) -> Tensor:
    """That next to 1 / inv_std for each group: a constant, which grouped values can be divided by."""
    xp = array_module(inv_std.data)
    return Tensor(power_of_two(xp, 1 / inv_std.data).reshape(1, -1, 1))


def _flat(parameter: Any) -> Any:
    """Weight or bias with one axis."""
    return None if parameter is None else parameter.reshape(-1)


def _shaped(ctx: Node, shape: tuple[int, ...], gradients: tuple[Any, Any, Any]) -> tuple[Any, ...]:
    """The kernels' gradients in the shapes of the inputs."""
    shapes = (shape, ctx.view.shape, ctx.view.shape)
    return tuple(None if g is None else g.reshape(s) for g, s in zip(gradients, shapes, strict=True))


def _towards(ctx: Node, g: Tensor, xhat: Tensor, weight: Tensor | None) -> tuple[Any, Any, Any]:
    """Cotangent of y to those of x̂ (h, grouped as x̂ is), γ and β, by operations."""
    view, (_, wants_weight, wants_bias) = ctx.view, ctx.needs_input_grad
    g = g.reshape(view.rows)
    dbias = sum_of(g, (0, 2)).reshape(view.shape) if wants_bias else None
    dweight = sum_of(g * xhat.reshape(view.rows), (0, 2)).reshape(view.shape) if wants_weight else None
    h = g if weight is None else g * weight.reshape((1, -1, 1))
    return h.reshape(xhat.shape), dweight, dbias


def check_affine(
    operation: str, x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...]
) -> None:
    """Weight and bias must have ``shape`` and the input's dtype, which must be floating-point."""
    if x.dtype.kind != "f":
        raise TypeError(f"{operation}: input must be floating-point, got {x.dtype}")
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is None:
            continue
        if parameter.shape != shape:
            raise ValueError(
                f"{operation}: {name} must have shape {shape}, got {parameter.shape} (input {x.shape})"
            )
        if parameter.dtype != x.dtype:
            raise TypeError(f"{operation}: {name} is {parameter.dtype}, but the input {x.dtype}")


def check_channels(operation: str, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> None:
    """The input is (N, C, ...), weight and bias have a value for each channel."""
    if x.ndim < 2:
        raise ValueError(f"{operation}: input must be (N, C, ...), got shape {x.shape}")
    check_affine(operation, x, weight, bias, x.shape[1:2])


def check_running(operation: str, x: Tensor, mean: Tensor | None, var: Tensor | None, needed: bool) -> None:
    """Both running statistics or none (then they must not be needed), a value for each channel."""
    if (mean is None) != (var is None):
        raise ValueError(f"{operation}: running_mean and running_var must both be given, or neither")
    if mean is None and needed:
        raise ValueError(f"{operation}: evaluation needs running_mean and running_var")
    for name, record in (("running_mean", mean), ("running_var", var)):
        if record is None:
            continue
        if record.shape != x.shape[1:2]:
            raise ValueError(
                f"{operation}: {name} must have shape ({x.shape[1]},), got {record.shape} (input {x.shape})"
            )
        if record.dtype.kind != "f":
            raise TypeError(f"{operation}: {name} must be floating-point, got {record.dtype}")
        place_of(lambda: operation, (x.data, record.data))  # before anything is recorded


def given_statistics(running_mean: Tensor, running_var: Tensor) -> dict[str, Any]:
    """Copies: the statistics may be updated between this forward and its backward."""
    return {"mean": running_mean.data.copy(), "var": running_var.data.copy()}


def update_running(record: Tensor | None, value: Any, momentum: float) -> None:
    """running ← (1 - momentum) running + momentum value, in place."""
    if record is None or is_recomputing():  # a checkpointed forward that runs again: this batch is recorded
        return
    with on(record.data):
        record.data *= 1 - momentum
        record.data += (momentum * value).astype(record.dtype)
    record.mark_changed()
