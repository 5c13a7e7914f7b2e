"""The same model out of fused modules: :func:`fuse`.

A tape that is recorded while the program runs sees one operation at a time; it cannot know that a ReLU will
follow a convolution, or that a concatenation exists only to be convolved. A module knows. So fusion is done
to the model, and asked for: ``model = minidl.fuse(model)``.

What becomes what:

* in a :class:`Sequential`, ``Conv2d[, BatchNorm2d][, ReLU]`` is one step (:func:`convolve`), unless a hook
  wants to see what is between them;
* every module whose class has a rule (:func:`rule`) becomes what the rule makes of it: those of
  ``minidl.models`` say so themselves (``minidl/models/fused.py``);
* everything else stays, with its children fused.

The fused model *shares* its parameters and buffers with the plain one and has the same names for them: state
dicts, optimizers and checkpoints do not know which of the two they belong to.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from minidl import ops
from minidl._tensor import Tensor
from minidl.nn.activations import ReLU
from minidl.nn.containers import Sequential
from minidl.nn.layers import Conv2d
from minidl.nn.module import Module
from minidl.nn.norm import BatchNorm2d
from minidl.nn.stateless import Identity

Some = TypeVar("Some", bound=Module)
Rule = Callable[[Any], Module]

_rules: dict[type[Module], Rule] = {}

#: What has become of which module while one :func:`fuse` is under way.
_made: ContextVar[dict[int, Module] | None] = ContextVar("minidl_fused", default=None)


def rule(kind: type[Module]) -> Callable[[Rule], Rule]:
    """Register, for :func:`fuse`, what becomes of modules of exactly this class."""

    def register(make: Rule) -> Rule:
        _rules[kind] = make
        return make

    return register


def fuse(model: Some) -> Some:
    """The same model, computed in fewer passes over memory.

    Args:
        model: any module. It stays as it is and may be used beside the fused one.

    Returns:
        a module of the same class or a subclass of it, with the same results (to rounding), parameters and
        names, in the same mode (training or not). What is in two places in the model is one module in the
        fused one, too.

    >>> from minidl import nn
    >>> plain = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    >>> fused = fuse(plain)
    >>> list(fused.state_dict()) == list(plain.state_dict()), fused[0].weight is plain[0].weight
    (True, True)
    """
    made = _made.get()
    if made is None:
        token = _made.set({})
        try:
            return fuse(model)
        finally:
            _made.reset(token)
    if id(model) not in made:
        make = _rules.get(type(model))
        made[id(model)] = with_children(model, fused_children(model)) if make is None else make(model)
    return cast(Some, made[id(model)])


def fused_children(model: Module) -> dict[str, Module | None]:
    """The modules directly below, fused, under all of their names."""
    return {name: None if child is None else fuse(child) for name, child in model._modules.items()}


def with_children(model: Some, children: Mapping[str, Module | None], kind: type[Some] | None = None) -> Some:
    """A copy of a module that shares its parameters and buffers, with these children (and class)."""
    twin = copy.copy(model)
    if kind is not None:
        object.__setattr__(twin, "__class__", kind)
    for table in ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks"):
        object.__setattr__(twin, table, dict(getattr(model, table)))
    twin._modules.update(children)
    return twin


class FusedSequential(Sequential):
    """As Sequential; a convolution takes the batch normalisation and the ReLU that follow it along."""

    def forward(self, input: Any) -> Any:
        modules, x, position = list(self), input, 0
        while position < len(modules):
            group = _group(modules, position)
            if len(group) == 1:
                x = group[0](x)
            else:
                norm = next((m for m in group if isinstance(m, BatchNorm2d)), None)
                assert isinstance(group[0], Conv2d)
                x = convolve(group[0], norm, x, relu=type(group[-1]) is ReLU)
            position += len(group)
        return x


def _group(modules: list[Module], position: int) -> list[Module]:
    """The modules from ``position`` on that are computed together; one that is hooked stays by itself."""
    group = [modules[position]]
    if type(group[0]) is Conv2d and not hooked(group[0]):
        for kind in (BatchNorm2d, ReLU):
            following = modules[position + len(group) :][:1]
            if following and type(following[0]) is kind and not hooked(following[0]):
                group += following
    return group


def hooked(*modules: Module) -> bool:
    """Whether someone wants to see what goes in or out of one of these: then it must be computed apart."""
    return any(m._forward_hooks or m._forward_pre_hooks for m in modules)


@rule(Sequential)
def _sequential(model: Sequential) -> Module:
    return with_children(model, fused_children(model), FusedSequential)


def convolve(
    conv: Conv2d,
    norm: Module | None,
    x: Tensor,
    second: Tensor | None = None,
    upsample: bool = False,
    relu: bool = True,
) -> Tensor:
    """relu(norm(conv([x, second]))) with as much in one operation as can be.

    Without a normalisation, everything. In evaluation a batch normalisation is a scale and a shift of each
    channel, y = s·z + t with s = γ/√(σ² + ε) and t = β - s·μ, which the convolution's own weight and bias can
    take over: w' = s·w, b' = s·b + t.
    """
    if isinstance(conv.padding, str) or conv.padding_mode != "zeros":  # borders that the operation lacks
        y = conv(x if second is None else ops.cat([x, _up(second) if upsample else second], 1))
        y = y if norm is None else norm(y)
        return ops.relu(y) if relu else y
    weight: Tensor = conv.weight
    bias: Tensor | None = conv.bias
    if type(norm) is BatchNorm2d and norm.uses_running_statistics():
        weight, bias = folded(conv, norm)
        norm = None
    plain = norm is None or isinstance(norm, Identity)
    y = ops.fused_conv2d(
        *(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups),
        second=second,
        upsample_second=upsample,
        relu=relu and plain,
    )
    if plain:
        return y
    assert norm is not None
    y = norm(y)
    return ops.relu(y) if relu else y


def _up(x: Tensor) -> Tensor:
    return ops.interpolate(x, scale_factor=2)


def folded(conv: Conv2d, norm: BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution with the batch normalisation (by its running statistics) in them."""
    mean, var = norm.running_mean, norm.running_var
    scale = (var + norm.eps) ** -0.5
    if norm.weight is not None:
        scale = scale * norm.weight
    bias = -mean * scale if conv.bias is None else (conv.bias - mean) * scale
    if norm.bias is not None:
        bias = bias + norm.bias
    return conv.weight * scale.reshape((-1, 1, 1, 1)), bias
