"""Every public callable that torch has, too: the same arguments in the same places, by the same names.

Where minidl has fewer arguments, what follows the common ones can only be given by name; so a position never
means something else than in torch. torch's order comes from its own signatures, and for what is written in
C++ from the table below (the first line of its documentation).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

import minidl
from minidl import nn, optim

#: torch's functions and methods without a signature, as its documentation has them.
DOCUMENTED = {
    # torch and torch.nn.functional
    "abs": "input",
    "add": "input, other",
    "amax": "input, dim=None, keepdim=False",
    "amin": "input, dim=None, keepdim=False",
    "arange": "start, end, step=1",
    "argmax": "input, dim=None, keepdim=False",
    "argmin": "input, dim=None, keepdim=False",
    "argsort": "input, dim=-1, descending=False",
    "avg_pool2d": "input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, "
    "divisor_override=None",
    "bitwise_and": "input, other",
    "bitwise_not": "input",
    "bitwise_or": "input, other",
    "bitwise_xor": "input, other",
    "cat": "tensors, dim=0",
    "chunk": "input, chunks, dim=0",
    "clamp": "input, min=None, max=None",
    "clip": "input, min=None, max=None",
    "clone": "input",
    "conv2d": "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1",
    "conv_transpose2d": "input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, "
    "dilation=1",
    "diagonal": "input, offset=0, dim1=0, dim2=1",
    "div": "input, other",
    "einsum": "equation, *operands",
    "eq": "input, other",
    "exp": "input",
    "flatten": "input, start_dim=0, end_dim=-1",
    "flip": "input, dims",
    "full": "size, fill_value",
    "gather": "input, dim, index",
    "ge": "input, other",
    "gelu": "input, approximate='none'",
    "get_num_threads": "",
    "gt": "input, other",
    "is_grad_enabled": "",
    "isfinite": "input",
    "isinf": "input",
    "isnan": "input",
    "le": "input, other",
    "linear": "input, weight, bias=None",
    "log": "input",
    "logical_not": "input",
    "lt": "input, other",
    "matmul": "input, other",
    "max": "input, dim, keepdim=False",
    "max_pool2d": "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, "
    "return_indices=False",
    "maximum": "input, other",
    "mean": "input, dim, keepdim=False",
    "min": "input, dim, keepdim=False",
    "minimum": "input, other",
    "mul": "input, other",
    "ne": "input, other",
    "neg": "input",
    "ones": "*size",
    "ones_like": "input",
    "permute": "input, dims",
    "pow": "input, exponent",
    "prelu": "input, weight",
    "reshape": "input, shape",
    "rsqrt": "input",
    "scatter_add": "input, dim, index, src",
    "set_num_threads": "count",  # which torch's takes without a name
    "sign": "input",
    "softplus": "input, beta=1, threshold=20",
    "sort": "input, dim=-1, descending=False",
    "sqrt": "input",
    "squeeze": "input, dim",
    "stack": "tensors, dim=0",
    "std": "input, dim, unbiased=True, keepdim=False",
    "sub": "input, other",
    "sum": "input, dim, keepdim=False",
    "tensor": "data",
    "topk": "input, k, dim=-1, largest=True, sorted=True",
    "transpose": "input, dim0, dim1",
    "unsqueeze": "input, dim",
    "var": "input, dim, unbiased=True, keepdim=False",
    "where": "condition, input, other",
    "Generator": "device='cpu'",
    "zeros": "*size",
    "zeros_like": "input",
    # torch.Tensor, where that differs from the function of its name
    "Tensor.copy_": "src, non_blocking=False",
    "Tensor.cpu": "memory_format",
    "Tensor.cuda": "device=None, non_blocking=False, memory_format",
    "Tensor.detach": "",
    "Tensor.dim": "",
    "Tensor.double": "",
    "Tensor.expand": "*size",
    "Tensor.flip": "*dims",
    "Tensor.float": "",
    "Tensor.item": "",
    "Tensor.log_softmax": "dim, dtype=None",
    "Tensor.numel": "",
    "Tensor.numpy": "",
    "Tensor.permute": "*dims",
    "Tensor.relu": "",
    "Tensor.requires_grad_": "requires_grad=True",
    "Tensor.reshape": "*shape",
    "Tensor.retain_grad": "",
    "Tensor.sigmoid": "",
    "Tensor.size": "dim=None",
    "Tensor.softmax": "dim, dtype=None",
    "Tensor.split": "split_size, dim=0",
    "Tensor.tanh": "",
    "Tensor.to": "*args",
    "Tensor.tolist": "",
    "Tensor.where": "condition, other",
}

#: Public names that torch has not, or has for something else.
OWN = {
    *("ops.cast", "ops.convolve2d", "ops.expand", "ops.fused_conv2d", "ops.getitem"),
    *("nn.Summary", "nn.summary", "nn.Module.astype", "nn.BatchNorm2d.uses_running_statistics"),
    *("nn.init.fans", "nn.init.torch_default_"),
    *("Tensor.astype", "Tensor.mark_changed"),
    *("autograd.Function", "autograd.Node", "autograd.is_recomputing", "autograd.watch"),
    *("optim.Optimizer.numbers", "optim.Optimizer.update", "optim.Optimizer.update_all"),
    *("minidl.Function", "minidl.GradcheckError", "minidl.Tensor", "minidl.device"),
    *("minidl.fuse", "minidl.use"),
    # A whole call of torch's is gradcheck(func, inputs, *, eps, ...): checked by name alone.
    *("minidl.gradcheck", "minidl.gradgradcheck"),
}


def _homes() -> dict[str, tuple[Any, Any, str]]:
    """Every public callable: (minidl's, torch's or None, its name in the table of documented ones)."""
    found: dict[str, tuple[Any, Any, str]] = {}

    def add(place: str, name: str, ours: Any, theirs: Any, table: str = "") -> None:
        if callable(ours):
            found[f"{place}.{name}"] = ours, theirs, table or name

    functional = torch.nn.functional
    for name in nn.functional.__all__:
        add("ops", name, getattr(nn.functional, name), getattr(functional, name, getattr(torch, name, None)))
    for name in nn.__all__:
        ours, theirs = getattr(nn, name), getattr(torch.nn, name, None)
        if inspect.ismodule(ours):
            continue
        add("nn", name, ours, theirs)
        if inspect.isclass(ours) and issubclass(ours, nn.Module):
            for method, function in inspect.getmembers(ours, inspect.isfunction):
                if not method.startswith("_") and (ours is nn.Module or method in _own_methods(ours)):
                    add(f"nn.{name}", method, function, getattr(theirs, method, None))
    for module, place in ((nn.init, "nn.init"), (nn.utils, "nn.utils")):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if not name.startswith("_") and function.__module__.startswith("minidl.nn"):
                add(place, name, function, getattr(getattr(torch.nn, place[3:]), name, None))
    for name in ("SGD", "Adam", "AdamW", "Optimizer"):
        add("optim", name, getattr(optim, name), getattr(torch.optim, name))
    for name, function in inspect.getmembers(optim.Optimizer, inspect.isfunction):
        if not name.startswith("_"):
            add("optim.Optimizer", name, function, getattr(torch.optim.Optimizer, name, None))
    schedules = optim.lr_scheduler
    for name, kind in inspect.getmembers(schedules, inspect.isclass):
        theirs = getattr(torch.optim.lr_scheduler, name, None)
        if kind.__module__.startswith("minidl.optim") and name not in ("Optimizer",) and theirs is not None:
            add("optim.lr_scheduler", name, kind, theirs)
    for name in minidl.autograd.__all__:
        home = torch.utils.checkpoint if name == "checkpoint" else torch.autograd
        add("autograd", name, getattr(minidl.autograd, name), getattr(home, name, getattr(torch, name, None)))
    for name in minidl.__all__:
        if not inspect.ismodule(getattr(minidl, name)):
            add("minidl", name, getattr(minidl, name), getattr(torch, name, None))
    for name, function in inspect.getmembers(minidl.Tensor, inspect.isfunction):
        if not name.startswith("_"):
            table = f"Tensor.{name}" if f"Tensor.{name}" in DOCUMENTED else name
            add("Tensor", name, function, getattr(torch.Tensor, name, None), table)
    return found


def _own_methods(kind: Any) -> set[str]:
    return {name for base in kind.__mro__ for name in vars(base) if base is not object} - set(
        dir(nn.Module)
    ) | {"forward"}


HOMES = _homes()


def positional(callable_: Callable[..., Any]) -> list[inspect.Parameter]:
    """What can be given by position, ``self`` left out."""
    parameters = list(inspect.signature(callable_).parameters.values())
    if parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in parameters if p.kind in (*kinds, inspect.Parameter.VAR_POSITIONAL)]


def documented(text: str, of_tensor: bool) -> list[tuple[str, Any]]:
    """(name or *name, default or None) from a line of the table."""
    given = [part.strip().partition("=") for part in text.split(", ")] if text else []
    found = [(name, eval(default) if equals else inspect.Parameter.empty) for name, equals, default in given]
    return found[1:] if of_tensor and found and found[0][0] in ("input", "tensor") else found


def torch_s(name: str) -> list[tuple[str, Any]]:
    _, theirs, table = HOMES[name]
    if table in DOCUMENTED:
        return documented(
            DOCUMENTED[table], name.startswith("Tensor.") and table == name.removeprefix("Tensor.")
        )
    return [
        (f"*{p.name}" if p.kind is inspect.Parameter.VAR_POSITIONAL else p.name, p.default)
        for p in positional(theirs)
    ]


def test_every_public_callable_has_its_counterpart_or_is_named_as_minidl_s_own():
    missing = sorted(name for name, (_, theirs, _) in HOMES.items() if theirs is None and name not in OWN)
    assert not missing
    assert not sorted(OWN - set(HOMES)), "names that are gone"
    assert len(HOMES) > 300


@pytest.mark.parametrize("name", sorted(set(HOMES) - OWN))
def test_positions_mean_what_they_mean_in_torch(name):
    ours, theirs = positional(HOMES[name][0]), torch_s(name)
    named = [p for p in ours if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    if any(part.startswith("*") for part, _ in theirs):
        # Any number of positions: what comes before them has its place, and ours may spell them out.
        fixed = [part for part, _ in theirs if not part.startswith("*")]
        assert [p.name for p in named[: len(fixed)]] == fixed[: len(named)]
        return
    assert len(named) == len(ours), f"{name}: any number of positions, other than torch"
    assert [p.name for p in ours] == [part for part, _ in theirs][: len(ours)]
    for parameter, (_, default) in zip(ours, theirs, strict=False):
        if default is inspect.Parameter.empty or parameter.default is inspect.Parameter.empty:
            continue  # may be left out in one of the two alone
        if name in ("ops.std", "ops.var", "Tensor.std", "Tensor.var") and parameter.name == "unbiased":
            assert parameter.default is None  # which stands for True unless a correction is given
            continue
        assert parameter.default == default, f"{name}({parameter.name}=...)"


@pytest.mark.parametrize("name", sorted(n for n in set(HOMES) - OWN if HOMES[n][2] not in DOCUMENTED))
def test_the_table_is_only_for_what_has_no_signature(name):
    inspect.signature(HOMES[name][1])


@pytest.mark.parametrize("name", sorted(n for n in set(HOMES) - OWN if HOMES[n][2] in DOCUMENTED))
def test_what_the_table_says_torch_itself_does_not(name):
    """Where torch has a signature after all, it is taken; but for those that say (*args, **kwargs)."""
    try:
        signature = inspect.signature(HOMES[name][1])
    except (TypeError, ValueError):
        return
    kinds = {p.kind for p in signature.parameters.values() if p.name != "self"}
    loose = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    assert kinds <= loose or name in ("Tensor.split", "ops.tanh", "ops.sigmoid"), signature
