"""UNet: parameter counts, shapes at every level, sizes, keys, initial values, refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minidl
from minidl import models, nn


def parameters(model):
    return sum(p.numel() for p in model.parameters())


# --- parameter counts ---------------------------------------------------------------------------------------


def block(a, b):
    """Two 3x3 convolutions with biases, a to b and b to b channels."""
    return (9 * a + 1) * b + (9 * b + 1) * b


def test_the_documents_network():
    """Down 32, 64, 128, 256; up: the upsampled channels and the skip's; a 1x1 head."""
    down = block(3, 32) + block(32, 64) + block(64, 128) + block(128, 256)
    up = block(256 + 256, 256) + block(256 + 128, 128) + block(128 + 64, 64) + block(64 + 32, 32)
    assert down + up + (32 + 1) * 2 == 3_716_898
    assert parameters(models.unet_documents(2)) == 3_716_898
    assert parameters(models.unet_documents(5)) == 3_716_898 + 33 * 3


def test_the_papers_network():
    """Down 64 to 1024, of which the last is the bottleneck; 2x2 up-convolutions that halve; a 1x1 head."""
    widths = [1, 64, 128, 256, 512, 1024]
    down = sum(block(a, b) for a, b in itertools.pairwise(widths))
    up = sum((4 * b + 1) * (b // 2) + block(b, b // 2) for b in widths[:1:-1])
    # (4 in + 1) out for an up-convolution: in * out * 4 weights and out biases.
    assert down + up + (64 + 1) * 2 == 31_030_658
    model = models.unet_paper(num_classes=2)
    assert parameters(model) == 31_030_658
    assert (model.in_channels, model.num_classes, model.padding) == (1, 2, "valid")


def test_a_normalisation_takes_the_biases_place():
    plain, batch = models.UNet(1, 2, base=8, depth=1), models.UNet(1, 2, base=8, depth=1, norm="batch")
    channels = 2 * (8 + 16 + 8)  # outputs of the 3x3 convolutions
    assert parameters(batch) == parameters(plain) + channels


# --- shapes at every level ----------------------------------------------------------------------------------


def shapes(model, x):
    """(channels, height) of every block's, upsampling's and decoder's output, by forward hooks."""
    seen = {}
    for name, module in model.named_modules():
        if name.count(".") == 1 and name.split(".")[0] in ("down", "upsample", "decode"):
            module.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o.shape[1:3]}))
    for name, module in model.named_modules():
        if name.endswith("conv1"):
            key = name.replace(".conv1", " sees")
            module.register_forward_pre_hook(lambda m, i, key=key: seen.update({key: i[0].shape[1:3]}))
    with minidl.no_grad():
        seen["head"] = model(minidl.tensor(x)).shape[1:3]
    return seen


def test_the_documents_program_level_by_level():
    """conv1 to conv4, then up5, merge5, conv5 to up8, merge8, conv8, for the program's 128x128 pictures."""
    seen = shapes(models.unet_documents(2), np.zeros((1, 3, 128, 128), np.float32))
    assert seen == {
        "down.0 sees": (3, 128),
        "down.0": (32, 128),
        "down.1 sees": (32, 64),
        "down.1": (64, 64),
        "down.2 sees": (64, 32),
        "down.2": (128, 32),
        "down.3 sees": (128, 16),
        "down.3": (256, 16),
        "upsample.0": (256, 16),  # pool4 is 8x8
        "decode.0 sees": (512, 16),
        "decode.0": (256, 16),
        "upsample.1": (256, 32),
        "decode.1 sees": (384, 32),
        "decode.1": (128, 32),
        "upsample.2": (128, 64),
        "decode.2 sees": (192, 64),
        "decode.2": (64, 64),
        "upsample.3": (64, 128),
        "decode.3 sees": (96, 128),
        "decode.3": (32, 128),
        "head": (2, 128),
    }


def test_the_papers_figure_level_by_level():
    """Figure 1's heights, 572 in and 388 out, with 1/64 of its channels."""
    model = models.UNet(1, 2, base=1, depth=4, padding="valid", up="transpose")
    seen = shapes(model, np.zeros((1, 1, 572, 572), np.float32))
    heights = {name: height for name, (_, height) in seen.items()}
    assert [heights[f"down.{i}"] for i in range(5)] == [568, 280, 136, 64, 28]
    assert [heights[f"upsample.{i}"] for i in range(4)] == [56, 104, 200, 392]
    assert [heights[f"decode.{i}"] for i in range(4)] == [52, 100, 196, 388]
    assert [seen[f"decode.{i} sees"][0] for i in range(4)] == [16, 8, 4, 2]
    assert [seen[f"decode.{i}"][0] for i in range(4)] == [8, 4, 2, 1]
    assert seen["head"] == (2, 388)


# --- sizes --------------------------------------------------------------------------------------------------


def test_sizes_of_the_papers_network():
    model = models.UNet(1, 2, base=1, padding="valid", up="transpose")  # sizes do not depend on the channels
    # All that lie below the figure's, and the smallest: 4x4 before the last upsampling leaves 4 of 188.
    assert {n: model.output_size(n) for n in (572, 556, 188)} == {572: 388, 556: 372, 188: 4}
    assert [model.valid_size(n) for n in (572, 571, 557, 1)] == [572, 572, 572, 188]


def test_sizes_with_same_padding_are_the_multiples():
    model = models.UNet(1, 2, base=2, depth=3)
    assert model.multiple == 8
    assert model.output_size(24) == 24
    assert [model.valid_size(n) for n in (1, 8, 9, 16, 17)] == [8, 8, 16, 16, 24]


@pytest.mark.parametrize("options", [{"padding": "valid"}, {"padding": "valid", "bottleneck": False}, {}])
def test_output_size_is_what_the_network_gives(options):
    model = models.UNet(1, 2, base=1, depth=2, **options)
    usable = 0
    for n in range(1, 61):
        x = minidl.tensor(np.zeros((1, 1, n, n), np.float32))
        try:
            expected = model.output_size(n)
        except ValueError:
            with pytest.raises(ValueError, match=f"UNet.*{n}.*{model.valid_size(n)}"):
                model(x)
        else:
            assert model(x).shape == (1, 2, expected, expected) and model.valid_size(n) == n
            usable += 1
    assert usable >= 5


# --- construction -------------------------------------------------------------------------------------------


def test_keys_of_the_state_dict():
    model = models.UNet(1, 2, base=2, depth=1, norm="batch", up="transpose")
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]

    def block(name):
        layers = [[f"{name}.conv{i}.weight", *(f"{name}.norm{i}.{key}" for key in norm)] for i in (1, 2)]
        return [*layers[0], *layers[1]]

    up = ["upsample.0.weight", "upsample.0.bias"]
    head = ["head.weight", "head.bias"]
    assert list(model.state_dict()) == [*block("down.0"), *block("down.1"), *up, *block("decode.0"), *head]


def test_weights_start_by_hes_rule_and_biases_at_zero():
    """var w = 2 / fan_in, within 5 standard errors √(2/n) of it."""
    for name, p in models.UNet(3, 2, base=16, depth=2).named_parameters():
        if name.endswith("bias"):
            assert (p.data == 0).all(), name
        elif p.numel() > 1000:
            variance = 2 / int(np.prod(p.shape[1:]))
            assert abs(p.data.astype(np.float64).var() / variance - 1) < 5 * np.sqrt(2 / p.numel()), name


def test_dropout_ends_the_contracting_path():
    """As the paper: after the deepest two blocks on the way down, and nowhere else; off in evaluation."""
    model = models.UNet(1, 2, base=2, depth=3, dropout=0.5)
    dropping = [name for name, m in model.named_modules() if isinstance(m, nn.Dropout)]
    assert dropping == ["down.2.dropout", "down.3.dropout"]
    x = minidl.tensor(np.random.default_rng(0).normal(size=(1, 1, 16, 16)).astype(np.float32))
    assert (model(x).detach().numpy() != model(x).detach().numpy()).any()
    model.eval()
    np.testing.assert_array_equal(model(x).detach().numpy(), model(x).detach().numpy())


REFUSED = {
    "norm": ({"norm": "layer"}, "norm.*none, batch, group.*'layer'"),
    "up": ({"up": "cubic"}, "up.*nearest, bilinear, transpose.*'cubic'"),
    "padding": ({"padding": 1}, "padding.*same, valid.*1"),
    "depth": ({"depth": 0}, "depth.*at least 1.*0"),
    "base": ({"base": 0}, "base.*at least 1"),
    "num_classes": ({"num_classes": 0}, "num_classes.*at least 1"),
    "in_channels": ({"in_channels": -1}, "in_channels.*at least 1.*-1"),
    "dropout": ({"dropout": 2.0}, "p must be a probability.*2"),
    "nothing to halve": (
        {"base": 1, "depth": 1, "bottleneck": False, "up": "transpose"},
        "up='transpose'.*only one",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_are_not_there_are_refused_before_a_weight_is_drawn(name):
    options, message = REFUSED[name]
    before = minidl.random.get_state()
    with pytest.raises(ValueError, match=message):
        models.UNet(**options)
    assert minidl.random.get_state() == before


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 64, 50), "50.*64.*multiple of 16"),
        ((1, 3, 0, 64), "0.*16"),
        ((1, 1, 64, 64), r"\(N, 3, H, W\).*\(1, 1, 64, 64\)"),
        ((3, 64, 64), r"\(N, 3, H, W\).*\(3, 64, 64\)"),
    ],
)
def test_images_that_do_not_fit_are_named_with_the_remedy(shape, message):
    with pytest.raises(ValueError, match=f"UNet.*{message}"):
        models.UNet(3, 2, base=1)(minidl.tensor(np.zeros(shape, np.float32)))


def test_with_valid_padding_the_message_names_the_next_size():
    with pytest.raises(ValueError, match=r"UNet.*571.*572"):
        models.UNet(1, 2, base=1, padding="valid")(minidl.tensor(np.zeros((1, 1, 571, 572), np.float32)))
