"""Calls with all arguments by position, one line for both libraries: the same numbers, or both refuse."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import minidl

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 4, 5)), RNG.normal(size=(2, 4, 5))
IMAGE, FILTERS = RNG.normal(size=(2, 4, 7, 6)), RNG.normal(size=(4, 2, 3, 3))
LOGITS, IDS, WEIGHT = RNG.normal(size=(6, 3)), np.array([0, 1, 2, 1, 0, 2]), np.array([1.0, 2.0, 0.5])
SHARES = RNG.uniform(0.1, 0.9, (6, 3))


class Library:
    """torch's functional, its functions, its layers, and what makes tensors of arrays."""

    def __init__(self, ours):
        self.F = minidl.nn.functional if ours else torch.nn.functional
        self.top = minidl.ops if ours else torch
        self.nn = minidl.nn if ours else torch.nn
        self.init = self.nn.init
        self.tensor = minidl.tensor if ours else torch.tensor
        self.float64 = np.float64 if ours else torch.float64
        self.float32 = np.float32 if ours else torch.float32


CALLS = {
    "cross_entropy": lambda m, t: m.F.cross_entropy(t(LOGITS), t(IDS), t(WEIGHT), None, 1, None, "sum", 0.1),
    "cross_entropy, sum": lambda m, t: m.F.cross_entropy(t(LOGITS), t(IDS), t(WEIGHT), False),
    "cross_entropy, none": lambda m, t: m.F.cross_entropy(t(LOGITS), t(IDS), None, True, 2, False),
    "nll_loss": lambda m, t: m.F.nll_loss(t(LOGITS), t(IDS), t(WEIGHT), None, 1, None, "sum"),
    "nll_loss, sum": lambda m, t: m.F.nll_loss(t(LOGITS), t(IDS), t(WEIGHT), False, 0, True),
    "binary_cross_entropy_with_logits": lambda m, t: m.F.binary_cross_entropy_with_logits(
        t(LOGITS), t(SHARES), t(WEIGHT), None, None, "none", t(2 * WEIGHT)
    ),
    "l1_loss": lambda m, t: m.F.l1_loss(t(A), t(B), False),
    "l1_loss, none": lambda m, t: m.F.l1_loss(t(A), t(B), None, False),
    "mse_loss": lambda m, t: m.F.mse_loss(t(A), t(B), None, None, "sum"),
    "smooth_l1_loss": lambda m, t: m.F.smooth_l1_loss(t(A), t(B), None, None, "sum", 0.5),
    "kl_div": lambda m, t: m.F.kl_div(t(A), t(B), None, None, "sum", True),
    "CrossEntropyLoss": lambda m, t: m.nn.CrossEntropyLoss(None, True)(t(LOGITS), t(IDS)),
    "CrossEntropyLoss, all": lambda m, t: m.nn.CrossEntropyLoss(t(WEIGHT), None, 1, None, "sum", 0.1)(
        t(LOGITS), t(IDS)
    ),
    "NLLLoss": lambda m, t: m.nn.NLLLoss(t(WEIGHT), False, 2)(t(LOGITS), t(IDS)),
    "BCEWithLogitsLoss": lambda m, t: m.nn.BCEWithLogitsLoss(t(WEIGHT), None, False, "mean", t(WEIGHT))(
        t(LOGITS), t(SHARES)
    ),
    "L1Loss": lambda m, t: m.nn.L1Loss(False)(t(A), t(B)),
    "MSELoss": lambda m, t: m.nn.MSELoss(None, False)(t(A), t(B)),
    "SmoothL1Loss": lambda m, t: m.nn.SmoothL1Loss(None, None, "sum", 0.5)(t(A), t(B)),
    "KLDivLoss": lambda m, t: m.nn.KLDivLoss(None, None, "sum", True)(t(A), t(B)),
    "conv2d": lambda m, t: m.F.conv2d(t(IMAGE), t(FILTERS), t(WEIGHT[[0, 1, 2, 0]]), 2, 1, 1, 2),
    "conv_transpose2d": lambda m, t: m.F.conv_transpose2d(
        t(IMAGE), t(FILTERS), t(WEIGHT[[0, 1, 2, 0]]), 2, 1, 1, 2, 1
    ),
    "max_pool2d": lambda m, t: m.F.max_pool2d(t(IMAGE), 3, 2, 1, 1, True, False),
    "avg_pool2d": lambda m, t: m.F.avg_pool2d(t(IMAGE), 3, 2, 1, True, False, 5),
    "unfold": lambda m, t: m.F.unfold(t(IMAGE), 2, 2, 1, 3),
    "interpolate": lambda m, t: m.F.interpolate(t(IMAGE), None, 1.7, "bilinear", False, None, False),
    "interpolate, recomputed": lambda m, t: m.F.interpolate(t(IMAGE), None, 1.7, "bilinear", False, True),
    "interpolate, recomputed bicubic": lambda m, t: m.F.interpolate(
        t(IMAGE), None, (1.3, 0.7), "bicubic", True, True
    ),
    "interpolate, a size to recompute": lambda m, t: m.F.interpolate(
        t(IMAGE), 3, None, "nearest", None, True
    ),
    "Upsample": lambda m, t: m.nn.Upsample(None, 1.7, "bilinear", False, True)(t(IMAGE)),
    "batch_norm": lambda m, t: m.F.batch_norm(
        t(IMAGE), None, None, t(WEIGHT[[0, 1, 2, 0]]), None, True, 0.5, 0.1
    ),
    "instance_norm": lambda m, t: m.F.instance_norm(t(IMAGE), None, None, None, None, True, 0.5, 0.1),
    "group_norm": lambda m, t: m.F.group_norm(t(IMAGE), 2, None, t(WEIGHT[[0, 1, 2, 0]]), 0.1),
    "layer_norm": lambda m, t: m.F.layer_norm(t(IMAGE), (7, 6), None, None, 0.1),
    "softmax": lambda m, t: m.top.softmax(t(A.astype(np.float32)), 1, dtype=m.float64),
    "log_softmax": lambda m, t: t(A.astype(np.float32)).log_softmax(1, m.float64),
    "softmax of a tensor": lambda m, t: t(A).softmax(-1, m.float32),
    "softplus": lambda m, t: m.F.softplus(t(A), 2.0, 1.0),
    "leaky_relu": lambda m, t: m.F.leaky_relu(t(A), 0.3, False),
    "elu": lambda m, t: m.F.elu(t(A), 0.3, False),
    "relu": lambda m, t: m.F.relu(t(A), False),
    "dropout": lambda m, t: m.F.dropout(t(A), 0.5, False, False),
    "std": lambda m, t: m.top.std(t(A), 1, False, True),
    "std, biased": lambda m, t: t(A).std(False),
    "var": lambda m, t: t(A).var((0, 2), True, True),
    "sum": lambda m, t: t(A).sum(1, True),
    "sum of a bool": lambda m, t: t(A).sum(True),
    "mean of a bool": lambda m, t: m.top.mean(t(A), False),
    "argmax of a bool": lambda m, t: t(A).argmax(True),
    "squeeze of a bool": lambda m, t: t(A).squeeze(True),
    "sort": lambda m, t: t(A).sort(1, True)[0],
    "sort, stable by position": lambda m, t: t(A).sort(1, True, True)[0],
    "argsort, stable by position": lambda m, t: m.top.argsort(t(A), 1, True, True),
    "topk": lambda m, t: t(A).topk(2, 1, False, True)[0],
    "diagonal": lambda m, t: t(A).diagonal(1, 2, 1),
    "clamp": lambda m, t: m.top.clamp(t(A), -0.5, 0.5),
    "flatten": lambda m, t: m.top.flatten(t(IMAGE), 1, 2),
    "by torch's names": lambda m, t: m.top.sum(
        input=m.top.matmul(input=t(A), other=t(B).transpose(1, 2)), dim=0
    ),
    "split": lambda m, t: m.top.split(tensor=t(A), split_size_or_sections=2, dim=1)[1],
    "a layer by name": lambda m, t: m.nn.ReLU()(input=t(A)),
    "constant_": lambda m, t: m.init.constant_(tensor=t(A), val=3.0),
    "uniform_": lambda m, t: m.init.uniform_(t(A), 2.0, 2.0),
    "uniform_ by name": lambda m, t: m.init.uniform_(t(A), a=3.0, b=3.0),
    "uniform_ of integers": lambda m, t: m.init.uniform_(t(IDS)),
    "normal_": lambda m, t: m.init.normal_(t(A), 2.0, 0.0),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_by_position_means_the_same(name):
    found = []
    for ours in (True, False):
        m = Library(ours)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*size_average and reduce args.*", UserWarning)
            warnings.filterwarnings("ignore", "reduction: 'mean' divides", UserWarning)
            try:
                found.append(CALLS[name](m, m.tensor).detach().numpy())
            except (TypeError, ValueError, RuntimeError) as error:
                found.append(error)
    ours, theirs = found
    assert isinstance(ours, Exception) == isinstance(theirs, Exception), found
    if not isinstance(theirs, Exception):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        limit = 1e-6 if theirs.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(ours, theirs, rtol=limit, atol=limit)
