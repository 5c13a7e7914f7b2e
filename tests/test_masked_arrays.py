"""Masked arrays have no numbers where they are masked: refused wherever arrays come in, never unmasked."""

import numpy as np
import pytest

import minidl
from minidl import nn, ops, optim
from minidl.segmentation import metrics, tiling
from minidl.segmentation.augment import Augmentation

M = np.ma.masked_array(np.ones((2, 3), np.float32), [[0, 1, 0], [0, 0, 0]])
ROW = np.ma.masked_array([1.0, 2.0, 3.0], [0, 0, 1])
IDS = np.ma.masked_array([0, 1], [0, 1])
PICTURE = np.ma.masked_array(np.ones((1, 4, 4), np.float32), np.eye(4)[None])


def ones() -> minidl.Tensor:
    return minidl.tensor(np.ones((2, 3), np.float32), requires_grad=True)


WAYS_IN = {
    "tensor": lambda: minidl.tensor(M),
    "Tensor": lambda: minidl.Tensor(M),
    "a list": lambda: minidl.tensor([ROW, ROW]),
    "a nested list": lambda: minidl.tensor([[ROW]]),
    "the masked constant": lambda: minidl.tensor(np.ma.masked),
    "the masked constant in a list": lambda: minidl.tensor([1.0, np.ma.masked]),
    "full": lambda: minidl.full((2,), np.ma.masked),
    "add": lambda: ones() + M,
    "add from the left": lambda: M + ones(),
    "matmul": lambda: ones() @ M.T,
    "cat": lambda: ops.cat([ones(), M]),
    "clamp": lambda: ones().clamp(np.ma.masked, None),
    "assignment": lambda: ones().detach().__setitem__(0, ROW),
    "an index of bools": lambda: ones()[M.astype(bool)],
    "an index of integers": lambda: ones()[IDS],
    "a list in an index": lambda: ones()[[IDS]],
    "backward": lambda: (ones() * 2).backward(M),
    "targets": lambda: nn.functional.cross_entropy(ones(), IDS),
    "weights": lambda: nn.functional.cross_entropy(ones(), np.array([0, 1]), ROW),
    "weights in a list": lambda: nn.functional.cross_entropy(
        ones(), np.array([0, 1]), [1.0, 2.0, np.ma.masked]
    ),
    "load_state_dict": lambda: nn.Linear(3, 2).load_state_dict({"weight": M, "bias": np.zeros(2)}),
    "a learning rate": lambda: optim.SGD([ones()], np.ma.masked_array([0.1], [1])),
    "confusion_matrix": lambda: metrics.confusion_matrix(IDS, np.array([0, 1]), 2),
    "augmentation": lambda: Augmentation()(PICTURE, np.ones((4, 4)), np.random.default_rng(0)),
    "prediction": lambda: tiling.predict(lambda x: x, PICTURE, 1, multiple=1, tile=8, overlap=0),
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_masked_numbers_are_refused_by_name(way):
    with pytest.raises((TypeError, ValueError), match=r"a masked array has no numbers .*\.filled\(number\)"):
        WAYS_IN[way]()


def test_a_masked_array_without_masked_numbers_is_an_array():
    whole = np.ma.masked_array([1.0, 2.0])
    assert minidl.tensor(whole).tolist() == [1.0, 2.0]
    assert minidl.tensor([whole, whole]).shape == (2, 2)
    whole = minidl.tensor([np.ma.masked_array([1, 0])])
    assert whole.tolist() == [[1, 0]]
