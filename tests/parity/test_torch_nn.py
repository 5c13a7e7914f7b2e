"""Layers, initialisation, optimizers and schedules beside torch's: same state dict, same numbers."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

import minidl
from oracles.checks import tolerance

nn = minidl.nn


def to_torch(state):
    return {name: torch.tensor(np.asarray(value)) for name, value in state.items()}


def to_numpy(state):
    return {name: value.detach().numpy().copy() for name, value in state.items()}


# --- layers ---

LAYERS = {
    "Conv2d": (lambda m: m.Conv2d(3, 6, 3, stride=2, padding=1), (2, 3, 7, 6)),
    "Conv2d, groups, no bias": (
        lambda m: m.Conv2d(4, 6, (1, 3), groups=2, dilation=2, bias=False),
        (2, 4, 5, 6),
    ),
    "ConvTranspose2d": (
        lambda m: m.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1),
        (2, 3, 4, 5),
    ),
    "ConvTranspose2d, groups": (lambda m: m.ConvTranspose2d(4, 6, 2, 2, groups=2, bias=False), (1, 4, 3, 3)),
    "Linear": (lambda m: m.Linear(5, 3), (2, 4, 5)),
    "Linear, no bias": (lambda m: m.Linear(5, 3, bias=False), (2, 5)),
    "BatchNorm2d": (lambda m: m.BatchNorm2d(3), (4, 3, 5, 5)),
    "BatchNorm2d, plain": (lambda m: m.BatchNorm2d(3, eps=1e-3, momentum=0.3, affine=False), (4, 3, 5, 5)),
    "GroupNorm": (lambda m: m.GroupNorm(2, 4), (2, 4, 3, 3)),
    "ReLU": (lambda m: m.ReLU(), (2, 3, 4, 4)),
    "Sigmoid": (lambda m: m.Sigmoid(), (2, 3)),
    "Tanh": (lambda m: m.Tanh(), (2, 3)),
    "MaxPool2d": (lambda m: m.MaxPool2d(3, stride=2, padding=1), (2, 3, 7, 7)),
    "AvgPool2d": (lambda m: m.AvgPool2d(2), (2, 3, 7, 7)),
    "Upsample, nearest": (lambda m: m.Upsample(scale_factor=2), (2, 3, 4, 4)),
    "Upsample, bilinear": (lambda m: m.Upsample(scale_factor=2, mode="bilinear"), (2, 3, 4, 4)),
    "Softmax": (lambda m: m.Softmax(dim=1), (2, 3, 4, 4)),
    "Flatten": (lambda m: m.Flatten(), (2, 3, 4, 4)),
    "Identity": (lambda m: m.Identity(), (2, 3)),
    "Dropout, evaluated": (lambda m: m.Dropout(0.5).eval(), (2, 3)),
    "Sequential": (
        lambda m: m.Sequential(m.Conv2d(3, 4, 3), m.BatchNorm2d(4), m.ReLU(), m.Flatten(), m.Linear(36, 2)),
        (4, 3, 5, 5),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_with_the_same_state_dict(name):
    make, shape = LAYERS[name]
    ours, theirs = make(nn).double(), make(torch.nn).double()
    state = to_numpy(theirs.state_dict())
    assert list(ours.state_dict()) == list(state), "the keys, in order"
    ours.load_state_dict(state)
    theirs.load_state_dict(to_torch(ours.state_dict()))
    rng = np.random.default_rng(0)
    for _ in range(2):  # twice, so that running statistics matter
        array = rng.normal(size=shape)
        x, t = minidl.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        y, expected = ours(x), theirs(t)
        g = rng.normal(size=y.shape)
        y.backward(g)
        expected.backward(torch.tensor(g))
        atol = tolerance(np.float64, 256, 64)
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=0, atol=atol)
        np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=0, atol=atol)
        for (key, p), (torch_key, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert key == torch_key
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0, atol=atol, err_msg=key)
    for key, value in to_numpy(theirs.state_dict()).items():
        actual = ours.state_dict()[key]
        assert np.asarray(actual).shape == value.shape and np.asarray(actual).dtype == value.dtype, key
        np.testing.assert_allclose(actual, value, rtol=0, atol=atol, err_msg=key)
    # Evaluation uses the statistics that training left behind.
    array = rng.normal(size=shape)
    y, expected = ours.eval()(minidl.tensor(array)), theirs.eval()(torch.tensor(array))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=0, atol=atol)


@pytest.mark.parametrize("options", [{}, {"ignore_index": 1}, {"reduction": "sum"}, {"weighted": True}])
def test_loss_layers(options):
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 3, 4, 4)), rng.integers(0, 3, (2, 4, 4))
    plain = {k: v for k, v in options.items() if k != "weighted"}
    weight = rng.uniform(0.5, 2, 3) if options.get("weighted") else None
    ours = nn.CrossEntropyLoss(None if weight is None else minidl.tensor(weight), **plain)
    theirs = torch.nn.CrossEntropyLoss(None if weight is None else torch.tensor(weight), **plain)
    actual = ours(minidl.tensor(logits), minidl.tensor(target)).item()
    assert math.isclose(actual, theirs(torch.tensor(logits), torch.tensor(target)).item(), rel_tol=1e-14)
    a, b = rng.normal(size=(2, 5))
    l1 = nn.L1Loss()(minidl.tensor(a), minidl.tensor(b)).item()
    assert math.isclose(l1, torch.nn.L1Loss()(torch.tensor(a), torch.tensor(b)).item(), rel_tol=1e-14)


# --- load_state_dict refuses what does not fit ---


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_state_dicts_that_do_not_fit(fault):
    for m, convert in ((torch.nn, lambda a: torch.tensor(a)), (nn, lambda a: a)):
        state = {"weight": convert(np.ones((2, 3), np.float32)), "bias": convert(np.ones(2, np.float32))}
        named = {"missing": "bias", "unexpected": "extra", "shape": "weight"}[fault]
        if fault == "missing":
            del state["bias"]
        elif fault == "unexpected":
            state["extra"] = convert(np.ones(1, np.float32))
        else:
            state["weight"] = convert(np.ones((3, 2), np.float32))
        with pytest.raises((RuntimeError, ValueError, KeyError), match=named):
            m.Linear(3, 2).load_state_dict(state)


def test_one_parameter_under_two_names():
    for library in (torch.nn, nn):
        module = library.Sequential(library.Linear(2, 2), library.Linear(2, 2))
        module[1].weight = module[0].weight
        state = module.state_dict()
        assert "0.weight" in state and "1.weight" in state
        assert sum(1 for _ in module.parameters()) == 3
        module.load_state_dict(state)


# --- initialisation ---


def _bounds(array):
    return float(np.abs(array).max()), float(array.mean()), float(array.std())


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda m: m.Conv2d(32, 64, 3), 32 * 9),
        (lambda m: m.Conv2d(32, 64, 3, groups=4), 8 * 9),
        (lambda m: m.ConvTranspose2d(64, 32, 3), 32 * 9),
        (lambda m: m.Linear(256, 200), 256),
    ],
)
def test_default_initialisation_is_torchs(make, fan_in):
    """Uniform in ±1/sqrt(fan_in) for weights and biases: bound kept, nearly reached, mean and deviation
    within 5 sigma."""
    bound = 1 / math.sqrt(fan_in)
    for layer in (make(nn), make(torch.nn)):
        weight = np.asarray(layer.weight.detach().numpy(), np.float64)
        largest, mean, deviation = _bounds(weight)
        n = weight.size
        assert 0.99 * bound < largest <= bound * (1 + 1e-6)
        assert abs(mean) < 5 * bound / math.sqrt(3 * n)
        # The deviation of a uniform sample: sigma^2 = b^2/3, and Var(x^2) = b^4 (1/5 - 1/9).
        assert abs(deviation**2 - bound**2 / 3) < 5 * bound**2 * math.sqrt((1 / 5 - 1 / 9) / n)
        bias = np.asarray(layer.bias.detach().numpy())
        assert 0.5 * bound < np.abs(bias).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"])
@pytest.mark.parametrize("shape", [(64, 32, 3, 3), (200, 150)])
def test_initialisers_have_torchs_spread(name, shape):
    """Both samples' deviations agree within five standard errors of their difference."""
    minidl.manual_seed(5)
    ours, theirs = nn.Parameter(np.zeros(shape, np.float32)), torch.zeros(shape)
    options = {"nonlinearity": "relu"} if name.startswith("kaiming") else {}
    getattr(nn.init, name)(ours, **options)
    getattr(torch.nn.init, name)(theirs, **options)
    a, b = ours.detach().numpy().astype(np.float64), theirs.numpy().astype(np.float64)
    assert a.std() > 0
    error = 5 * math.sqrt(
        2 * 2 / a.size
    )  # a normal's variance estimate is off by sqrt(2/n) relative; a uniform's less
    assert abs(a.var() / b.var() - 1) < error
    assert abs(a.mean()) < 5 * a.std() / math.sqrt(a.size)
    if "uniform" in name:
        assert math.isclose(np.abs(a).max(), np.abs(b).max(), rel_tol=2e-3)
    else:
        assert np.abs(a).max() > 3 * a.std()


# --- optimizers ---

OPTIMIZERS = {
    "SGD": ("SGD", {"lr": 0.1}),
    "SGD, momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "SGD, nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "SGD, weight decay": ("SGD", {"lr": 0.1, "weight_decay": 0.01}),
    "SGD, all": ("SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "SGD, dampening": ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3}),
    "Adam": ("Adam", {}),
    "Adam, options": ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    "AdamW": ("AdamW", {}),
    "AdamW, options": ("AdamW", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3}),
}


def _two_models(seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(1, 4))]
    return [nn.Parameter(a.copy()) for a in arrays], [torch.nn.Parameter(torch.tensor(a)) for a in arrays]


def _loss(F, parameters, x):
    w, b, v = parameters
    return ((F.tanh(x @ w.T + b) @ v.T) ** 2).mean()


def _step(ours, theirs, optimizer, peer, x):
    optimizer.zero_grad()
    peer.zero_grad()
    _loss(minidl.ops, ours, minidl.tensor(x)).backward()
    _loss(torch, theirs, torch.tensor(x)).backward()
    optimizer.step()
    peer.step()


def _compare(ours, theirs, atol):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=0, atol=atol)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps(name):
    kind, options = OPTIMIZERS[name]
    ours, theirs = _two_models()
    optimizer = getattr(minidl.optim, kind)(ours, **options)
    peer = getattr(torch.optim, kind)(theirs, **options)
    rng = np.random.default_rng(1)
    start = [p.detach().numpy().copy() for p in ours]
    for _ in range(20):
        _step(ours, theirs, optimizer, peer, rng.normal(size=(5, 3)))
        _compare(ours, theirs, 1e-12)
    assert all(np.abs(p.detach().numpy() - s).max() > 1e-3 for p, s in zip(ours, start, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_saved_in_the_middle_and_continued(name):
    """After 5 steps the state goes into a new optimizer; the next 5 are torch's uninterrupted ones."""
    kind, options = OPTIMIZERS[name]
    ours, theirs = _two_models()
    optimizer = getattr(minidl.optim, kind)(ours, **options)
    peer = getattr(torch.optim, kind)(theirs, **options)
    rng = np.random.default_rng(1)
    for step in range(10):
        if step == 5:
            ours = [nn.Parameter(p.detach().numpy().copy()) for p in ours]
            state = optimizer.state_dict()
            optimizer = getattr(minidl.optim, kind)(ours, lr=123.0)
            optimizer.load_state_dict(state)
        _step(ours, theirs, optimizer, peer, rng.normal(size=(5, 3)))
        _compare(ours, theirs, 1e-12)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_parameter_groups_and_parameters_without_a_gradient(kind):
    ours, theirs = _two_models()
    unused = np.array([3.0])
    ours.append(nn.Parameter(unused.copy()))
    theirs.append(torch.nn.Parameter(torch.tensor(unused)))
    groups = lambda p: [{"params": p[:1], "lr": 0.3, "weight_decay": 0.2}, {"params": p[1:]}]  # noqa: E731
    optimizer, peer = (
        getattr(minidl.optim, kind)(groups(ours), lr=0.01),
        getattr(torch.optim, kind)(groups(theirs), lr=0.01),
    )
    for step in range(5):
        _step(ours[:3], theirs[:3], optimizer, peer, np.random.default_rng(step).normal(size=(5, 3)))
    _compare(ours, theirs, 1e-12)
    assert ours[3].detach().numpy()[0] == 3.0


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {"lr": -0.1}),
        ("SGD", {"lr": 0.1, "momentum": -1.0}),
        ("SGD", {"lr": 0.1, "nesterov": True}),
        ("Adam", {"betas": (1.0, 0.9)}),
        ("Adam", {"eps": -1.0}),
        ("AdamW", {"weight_decay": -0.1}),
    ],
)
def test_options_that_torch_refuses(kind, options):
    ours, theirs = _two_models()
    with pytest.raises(ValueError, match=r".+"):
        getattr(torch.optim, kind)(theirs, **options)
    with pytest.raises(ValueError, match=r".+"):
        getattr(minidl.optim, kind)(ours, **options)


def test_an_optimizer_without_parameters():
    for optim in (torch.optim, minidl.optim):
        with pytest.raises(ValueError, match=r"empty|no parameters"):
            optim.SGD([], lr=0.1)


# --- schedules ---

SCHEDULES = {
    "StepLR": ("StepLR", {"step_size": 3, "gamma": 0.5}),
    "MultiStepLR": ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.3}),
    "ExponentialLR": ("ExponentialLR", {"gamma": 0.9}),
    "CosineAnnealingLR": ("CosineAnnealingLR", {"T_max": 8, "eta_min": 0.01}),
    "LambdaLR": ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    "LinearLR": ("LinearLR", {"start_factor": 0.25, "total_iters": 6}),
    "PolynomialLR": ("PolynomialLR", {"total_iters": 9, "power": 0.9}),
    "ConstantLR": ("ConstantLR", {"factor": 0.5, "total_iters": 4}),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("resumed", [False, True])
def test_schedules_give_torchs_rates(name, resumed):
    kind, options = SCHEDULES[name]
    (p, *_), (q, *_) = _two_models()
    optimizer, peer = minidl.optim.SGD([p], lr=0.2), torch.optim.SGD([q], lr=0.2)
    schedule = getattr(minidl.optim.lr_scheduler, kind)(optimizer, **options)
    expected = getattr(torch.optim.lr_scheduler, kind)(peer, **options)
    for epoch in range(13):
        rate, torch_rate = optimizer.param_groups[0]["lr"], peer.param_groups[0]["lr"]
        assert math.isclose(rate, torch_rate, rel_tol=1e-12), f"epoch {epoch}: {rate}, torch {torch_rate}"
        if resumed and epoch == 4:
            states = optimizer.state_dict(), schedule.state_dict()
            optimizer = minidl.optim.SGD([p], lr=9.0)
            schedule = getattr(minidl.optim.lr_scheduler, kind)(optimizer, **options)
            optimizer.load_state_dict(states[0])
            schedule.load_state_dict(states[1])
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # torch minds a step of the schedule without one of the optimizer
            schedule.step()
            expected.step()
