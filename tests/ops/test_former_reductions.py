"""The former names of a reduction, ``size_average`` and ``reduce``: in torch's places, with its warning."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import minidl
from minidl import nn, ops

X, Y = minidl.tensor([[1.0, 2.0], [3.0, 5.0]]), minidl.tensor([[0.0, 0.0], [1.0, 1.0]])
IDS = minidl.tensor([0, 1])

#: The losses without weights: the function, the layer, their operands, and how many arguments stand before
#: ``size_average``, and between it and ``reduce``.
LOSSES = {
    "cross_entropy": (ops.cross_entropy, nn.CrossEntropyLoss, (X, IDS), (None,), (-100,)),
    "nll_loss": (ops.nll_loss, nn.NLLLoss, (X, IDS), (None,), (-100,)),
    "binary_cross_entropy_with_logits": (
        *(ops.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss),
        *((X, Y), (None,), ()),
    ),
    "l1_loss": (ops.l1_loss, nn.L1Loss, (X, Y), (), ()),
    "mse_loss": (ops.mse_loss, nn.MSELoss, (X, Y), (), ()),
    "smooth_l1_loss": (ops.smooth_l1_loss, nn.SmoothL1Loss, (X, Y), (), ()),
    "kl_div": (ops.kl_div, nn.KLDivLoss, (X, Y), (), ()),
}
#: (size_average, reduce): what they mean together.
MEANT = {
    (True, None): "mean",
    (False, None): "sum",
    (None, True): "mean",
    (None, False): "none",
    (True, True): "mean",
    (True, False): "none",
    (False, True): "sum",
    (False, False): "none",
}
both = pytest.mark.parametrize("former", MEANT)
every = pytest.mark.parametrize("name", LOSSES)


@every
@both
def test_a_function_takes_them_by_position_and_says_which_name_to_use(name, former):
    function, _, operands, before, between = LOSSES[name]
    function = inspect.unwrap(function)  # beside the frame of oracles/proof.py, which counts calls
    size_average, reduce = former
    expected = function(*operands, reduction=MEANT[former]).numpy()
    with pytest.warns(UserWarning, match=rf"^{name}: .*please use reduction='{MEANT[former]}'") as said:
        got = function(*operands, *before, size_average, *between, reduce)
    np.testing.assert_array_equal(got.numpy(), expected)
    assert [w.filename for w in said] == [__file__]


@every
@both
def test_a_layer_takes_them_by_position_and_says_which_name_to_use(name, former):
    _, layer, operands, before, between = LOSSES[name]
    size_average, reduce = former
    with pytest.warns(UserWarning, match=rf"^{layer.__name__}: .*reduction='{MEANT[former]}'") as said:
        loss = layer(*before, size_average, *between, reduce)
    assert loss.reduction == MEANT[former] and [w.filename for w in said] == [__file__]
    np.testing.assert_array_equal(loss(*operands).numpy(), layer(reduction=MEANT[former])(*operands).numpy())


@every
def test_they_decide_where_a_reduction_is_given_too_as_in_torch(name):
    function, _, operands, _, _ = LOSSES[name]
    with pytest.warns(UserWarning, match="size_average and reduce"):
        got = function(*operands, size_average=False, reduction="none")
    assert got.shape == ()


@every
def test_a_reduction_by_name_in_their_place_is_refused(name):
    """As the order of the arguments once was here; torch takes any string as True, and gives the mean."""
    function, layer, operands, before, between = LOSSES[name]
    with pytest.raises(TypeError, match=rf"^{name}: size_average must be a bool .*'sum'.*reduction="):
        function(*operands, *before, "sum")
    with pytest.raises(TypeError, match=rf"^{layer.__name__}: reduce must be a bool .*'sum'"):
        layer(*before, None, *between, "sum")
    with pytest.raises(TypeError, match=r"size_average must be a bool .*255"):
        function(*operands, *before, 255)
