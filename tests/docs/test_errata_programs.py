"""What the documents' two programs really do: see "The programs" in docs/equations.md."""

import numpy as np
import pytest

import minidl
from minidl import nn, ops


def test_random_float_labels_are_class_zero_nearly_everywhere():
    """The second document's y_train: uniform in [0, 1), float32, cast to class ids by the loss."""
    labels = np.random.default_rng(0).random((100, 128, 128, 1)).astype(np.float32)
    ids = labels.astype(np.int64)
    # float32 rounds the numbers within 2^-25 of 1 up to 1: about one in 3e7.
    assert np.count_nonzero(ids) <= 2
    always_zero = np.zeros_like(ids)
    assert (always_zero == ids).mean() > 0.999_99  # so this network, which sees nothing, is nearly perfect


def test_float_labels_are_refused_here():
    logits, labels = minidl.tensor(np.zeros((2, 2, 4, 4))), np.random.default_rng(0).random((2, 4, 4))
    with pytest.raises(TypeError, match="integer class ids"):
        ops.cross_entropy(logits, labels)


def first_documents_network(size, num_classes):
    """Three times 3x3 convolution, ReLU and 2x2 pooling, then Flatten and two dense layers."""
    layers, channels, side = [], 3, size
    for width in (32, 64, 128):
        layers += [nn.Conv2d(channels, width, 3), nn.ReLU(), nn.MaxPool2d(2)]
        channels, side = width, (side - 2) // 2
    layers += [nn.Flatten(), nn.Linear(channels * side * side, 128), nn.ReLU(), nn.Linear(128, num_classes)]
    return nn.Sequential(*layers)


def test_the_first_documents_program_gives_one_answer_per_image_not_per_pixel():
    images = minidl.tensor(np.zeros((2, 3, 46, 46), np.float32))
    with minidl.no_grad():
        assert first_documents_network(46, 5)(images).shape == (2, 5)
        unet = minidl.models.UNet(in_channels=3, num_classes=5, base=2, depth=1)
        assert unet(images).shape == (2, 5, 46, 46)


def test_the_first_documents_program_is_tied_to_one_image_size():
    network = first_documents_network(46, 5)
    with pytest.raises(ValueError, match="linear"):
        network(minidl.tensor(np.zeros((1, 3, 54, 54), np.float32)))


def test_the_first_documents_program_has_most_of_its_weights_in_one_layer():
    """At 224 x 224: 224 -> 222 -> 111 -> 109 -> 54 -> 52 -> 26."""
    convolutions = (3 * 9 + 1) * 32 + (32 * 9 + 1) * 64 + (64 * 9 + 1) * 128
    dense = (26 * 26 * 128 + 1) * 128
    assert (convolutions, dense) == (93_248, 11_075_712)
    network = first_documents_network(224, 10)
    assert sum(p.numel() for p in network.parameters()) == convolutions + dense + 129 * 10


def test_the_second_documents_program_upsamples_and_learns_nothing_on_the_way():
    model = minidl.models.unet_documents(2)
    assert [type(up).__name__ for up in model.upsample] == ["Upsample"] * 4
    assert not [p for up in model.upsample for p in up.parameters()]
    learned = minidl.models.UNet(3, 2, base=2, up="transpose")
    assert [type(up).__name__ for up in learned.upsample] == ["ConvTranspose2d"] * 4


def test_the_second_documents_program_counted_by_hand():
    """(9 C + 1) K numbers a 3x3 convolution, two a block; the way up reads skip and below; last 1x1."""

    def conv(c, k):
        return (9 * c + 1) * k

    down = [(3, 32), (32, 64), (64, 128), (128, 256)]
    up = [(256 + 256, 256), (128 + 256, 128), (64 + 128, 64), (32 + 64, 32)]
    total = sum(conv(c, k) + conv(k, k) for c, k in down + up) + (32 + 1) * 2
    assert total == 3_716_898 == sum(p.numel() for p in minidl.models.unet_documents(2).parameters())


def test_channels_last_pictures_are_turned_once():
    """The programs' arrays are (N, H, W, C); minidl's shapes are (N, C, H, W)."""
    picture = np.random.default_rng(0).random((1, 32, 48, 3)).astype(np.float32)
    model = minidl.models.UNet(3, 2, base=2, depth=2)
    with pytest.raises(ValueError, match="N, 3, H, W"):
        model(minidl.tensor(picture))
    assert model(minidl.tensor(picture).permute(0, 3, 1, 2)).shape == (1, 2, 32, 48)
