"""Where a training starts: at the shares of the classes.

The last layer of a network for segmentation, its *head*, gives a logit for each class. With random weights
and a bias of zero every class starts at about the same probability, 1/2 for two of them. Where a class has
1.6 % of the pixels, that is a poor guess, and a training spends its first steps on nothing but moving the
bias. The best guess that does not look at the picture is known beforehand, because it is a count; see
docs/class-prior.md for the derivation and for what it brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import nn

Array = np.ndarray[Any, Any]


def class_shares(pixels: Sequence[int], weights: Array | None = None) -> Array:
    """The constant prediction with the least (weighted) cross-entropy, float64 (K,), positive, of sum 1.

    A loss of class weights w over n_c pixels of each class c, all predicted as p, is
    -(sum of w_c n_c log p_c) / (sum of w_c n_c); it is least at p_c = w_c n_c / sum.

    The logarithm of an absent class's share, zero, is minus infinity, and a network that starts there never
    leaves. Such a class counts as one pixel of the lightest class: less than that no class which is there
    can have, and among N pixels it adds to the first loss no more than log(1 + K/N).

    Args:
        pixels: labelled pixels of each class; those that are ignored are no part of it.
        weights: of the classes in the loss, 0 or more; None: all 1.

    Raises:
        ValueError: no pixel has a label (or all that have one weigh nothing), or a number is negative or not
            finite.

    >>> class_shares([60, 30, 10])
    array([0.6, 0.3, 0.1])
    >>> class_shares([60, 30, 10], np.array([0.5, 1, 3]))  # each class weighs as much as the others
    array([0.33333333, 0.33333333, 0.33333333])
    >>> class_shares([98, 0, 1])
    array([0.98, 0.01, 0.01])
    """
    counts = np.asarray(pixels, np.float64)
    each = np.ones_like(counts) if weights is None else np.asarray(weights, np.float64)
    if each.shape != counts.shape or not (np.isfinite(counts).all() and np.isfinite(each).all()):
        raise ValueError("class_shares: give one finite count and one finite weight for each class")
    if (counts < 0).any() or (each < 0).any() or not (counts * each).any():
        raise ValueError("class_shares: no class has a pixel that counts")
    parts = counts * each
    parts[parts == 0] = each[parts > 0].min()
    shares: Array = parts / parts.sum()
    return shares


def start_at(head: nn.Conv2d, shares: Array) -> None:
    """Let a network's last convolution give log(shares) everywhere: weights 0, bias log(shares).

    The softmax of these logits is ``shares``, whatever the picture. While the weights are 0 no gradient
    passes through them to the layers below: in the first step they stay as they are, and the head learns
    alone; from the second step on all learn.

    Raises:
        ValueError: the head has no bias, or not as many outputs as there are shares.

    >>> head = nn.Conv2d(4, 2, 1)
    >>> start_at(head, np.array([0.75, 0.25]))
    >>> np.exp(head.bias.numpy()).round(6).tolist(), head.weight.abs().max().item()
    ([0.75, 0.25], 0.0)
    """
    if head.bias is None or head.bias.shape != shares.shape:
        raise ValueError(f"start_at: the head needs a bias of {len(shares)} values")
    nn.init.zeros_(head.weight)
    logits = np.log(shares).astype(head.bias.numpy().dtype)
    head.load_state_dict({"weight": head.weight.numpy(), "bias": logits})
