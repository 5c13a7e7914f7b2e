"""U-Net (Ronneberger, Fischer and Brox 2015), in the paper's form and in that of the documents' program.

::

    input ─ block ──────────────── skip ───────────────► cat ─ block ─ 1x1 ─ logits
              │ pool                                       ▲ up
            block ────────────── skip ─────────► cat ─ block
              │ pool                               ▲ up
              ⋮                                    ⋮
            (bottleneck block)  ───────────────────┘

A block is two 3x3 convolutions, each followed (where asked for) by a normalisation, and by ReLU. On the way
down each block is followed by 2x2 max pooling and has twice the channels of the one before; on the way up the
picture is doubled, joined with the skip of its size, and a block brings the channels back. A 1x1 convolution
gives the logits of the classes.

Where the two forms differ:

* **Bottleneck.** The paper has one more block below the last pooling. The documents' program goes straight
  back up from there.
* **Up.** The paper's "up-convolution" doubles the picture and halves the channels with one learned 2x2 filter
  (``up="transpose"``). The documents' *prose* says deconvolution, their *program* repeats pixels
  (``up="nearest"``), and the channels stay.
* **Padding.** The paper's 3x3 convolutions have no padding: each takes one pixel off each side, and the skips
  are cropped to fit (``padding="valid"``; 572 pixels in, 388 out). The program pads with zeros
  (``padding="same"``).
* **Dropout.** The paper has "drop-out layers at the end of the contracting path", here after its two deepest
  blocks and with the usual probability of 0.5, which the paper does not name. The program has none.
* **Softmax.** The program ends in one; here the network gives logits, and the loss contains the softmax (see
  ``ops/cross_entropy.py`` for why).
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minidl import nn, ops
from minidl._tensor import Tensor
from minidl.autograd import checkpoint

NORMS = ("none", "batch", "group")
UPS = ("nearest", "bilinear", "transpose")
PADDINGS = ("same", "valid")
#: Poolings at most: the sides of pictures are multiples of 2 to that power.
DEEPEST = 16

#: What makes the two networks that have names: arguments of :class:`UNet`, beside channels and classes.
NETWORKS: dict[str, dict[str, Any]] = {
    "unet-documents": {
        "base": 32,
        "depth": 4,
        "bottleneck": False,
        "padding": "same",
        "norm": "none",
        "up": "nearest",
        "dropout": 0.0,
    },
    "unet-paper": {
        "base": 64,
        "depth": 4,
        "bottleneck": True,
        "padding": "valid",
        "norm": "none",
        "up": "transpose",
        "dropout": 0.5,
    },
}


class DoubleConv(nn.Module):
    """(3x3 convolution, norm, ReLU) twice, and dropout if any."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        padding: str = "same",
        norm: str = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        pad = 1 if padding == "same" else 0
        # A convolution's bias does nothing where a normalisation takes the mean out again.
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=pad, bias=norm == "none")
        self.norm1 = make_norm(norm, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=pad, bias=norm == "none")
        self.norm2 = make_norm(norm, out_channels)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = ops.relu(self.norm1(self.conv1(x)))
        x = ops.relu(self.norm2(self.conv2(x)))
        return self.dropout(x)


def make_norm(norm: str, channels: int) -> nn.Module:
    """The normalisation of that name for so many channels (groups of 8 at least, 32 groups at most)."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        return nn.GroupNorm(math.gcd(channels, max(1, min(32, channels // 8))), channels)
    return nn.Identity()


class UNet(nn.Module):
    """An encoder, a decoder, and skip connections between them.

    Args:
        in_channels: of the image, 1 for gray and 3 for colour.
        num_classes: channels of the logits.
        base: channels of the first block; doubled at each level down.
        depth: number of poolings.
        bottleneck: a block below the last pooling (the paper) or none (the documents' program).
        padding: "same" (zeros around) or "valid" (none, so that the output is smaller than the input: see
            :meth:`output_size`).
        norm: "none", "batch" or "group", after each 3x3 convolution.
        up: "nearest" or "bilinear" doubling, or "transpose": a learned 2x2 up-convolution, which also
            halves the channels.
        dropout: probability, after the deepest two blocks on the way down (the paper's "drop-out layers at
            the end of the contracting path").
        recompute: in training keep only what goes into each stage, and compute its inside again in the
            backward (:func:`minidl.autograd.checkpoint`): less memory, one more forward, the same gradients.

    Raises:
        ValueError: an option that is not there, or a size that is not positive.

    >>> import minidl, numpy
    >>> model = UNet(in_channels=1, num_classes=2, base=4, depth=2)
    >>> model(minidl.tensor(numpy.zeros((1, 1, 16, 20), "float32"))).shape
    (1, 2, 16, 20)
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 2,
        base: int = 32,
        depth: int = 4,
        bottleneck: bool = True,
        padding: str = "same",
        norm: str = "none",
        up: str = "nearest",
        dropout: float = 0.0,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = recompute
        # All is checked before the first weight is drawn: what is refused draws no random numbers.
        for name, value, choices in (("norm", norm, NORMS), ("up", up, UPS), ("padding", padding, PADDINGS)):
            if value not in choices:
                raise ValueError(f"UNet: {name} must be one of {', '.join(choices)}, got {value!r}")
        for name, size in (
            ("in_channels", in_channels),
            ("num_classes", num_classes),
            ("base", base),
            ("depth", depth),
        ):
            if isinstance(size, bool) or not isinstance(size, int | np.integer):
                raise TypeError(f"UNet: {name} must be a whole number, got {type(size).__name__}")
            if size < 1:
                raise ValueError(f"UNet: {name} must be at least 1, got {size}")
        if depth > DEEPEST:
            raise ValueError(f"UNet: depth must be at most {DEEPEST}, got {reprlib.repr(depth)}")
        if not 0 <= dropout <= 1:
            raise ValueError(f"UNet: dropout p must be a probability between 0 and 1, got {dropout}")
        if up == "transpose" and base * 2 ** (depth + bottleneck - 1) < 2:
            raise ValueError(
                "UNet: up='transpose' halves the channels of the deepest block, which has only one"
            )
        self.in_channels, self.num_classes, self.depth, self.padding, self.up = (
            in_channels,
            num_classes,
            depth,
            padding,
            up,
        )
        #: "same" padding needs heights and widths that are multiples of this.
        self.multiple = 2**depth
        widths = [base * 2**level for level in range(depth + bottleneck)]
        levels = zip([in_channels, *widths], widths, strict=False)
        self.down = nn.ModuleList(
            DoubleConv(a, b, padding, norm, dropout if level >= len(widths) - 2 else 0.0)
            for level, (a, b) in enumerate(levels)
        )
        self.upsample, self.decode = nn.ModuleList(), nn.ModuleList()
        below = widths[-1]
        for width in reversed(widths[:depth]):
            self.upsample.append(_make_up(up, below))
            joined = width + (below // 2 if up == "transpose" else below)
            self.decode.append(DoubleConv(joined, width, padding, norm))
            below = width
        self.head = nn.Conv2d(below, num_classes, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He's initial weights (as the paper: normal, variance 2/fan_in), biases zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        self._check(x.shape)
        skips = []
        for level, block in enumerate(self.down):
            if level:
                x = ops.max_pool2d(x, 2)
            x = self._stage(block, x)
            skips.append(x)
        if len(skips) > self.depth:
            skips.pop()  # the bottleneck's output is x itself, not a skip
        else:
            x = ops.max_pool2d(x, 2)  # no bottleneck: straight back up from the last pooling
        for upsample, decode in zip(self.upsample, self.decode, strict=True):
            x = self._stage(partial(self._up, upsample, decode), skips.pop(), x)
        return self.head(x)

    def _up(self, upsample: nn.Module, decode: nn.Module, skip: Tensor, x: Tensor) -> Tensor:
        """One stage of the decoder: enlarge, put the skip connection beside it, two convolutions."""
        x = upsample(x)
        return decode(ops.cat([crop(skip, x.shape), x], dim=1))

    def _stage(self, stage: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        if self.recompute and self.training:
            return checkpoint(stage, *inputs)
        return stage(*inputs)

    def output_size(self, size: int) -> int:
        """Extent of the output for an extent of the input that fits (572 gives 388 with the paper's network).

        Raises:
            ValueError: it does not fit: an extent before a pooling is odd, or no pixels are left.

        >>> unet_paper().output_size(572)
        388
        """
        n = self._output_size(size)
        if n < 1:
            rule = f" (a multiple of {self.multiple})" if self.padding == "same" else ""
            raise ValueError(
                f"UNet: an input extent of {size} cannot be halved {self.depth} times, or leaves no output "
                f"pixels; the next that fits is {self.valid_size(size)}{rule}"
            )
        return n

    def valid_size(self, size: int) -> int:
        """The smallest usable input extent that is at least ``size``.

        >>> unet_paper().valid_size(571)
        572
        """
        candidate = max(1, size)
        while self._output_size(candidate) < 1:
            candidate += 1
        return candidate

    def _output_size(self, size: int) -> int:
        """As :meth:`output_size`, with 0 for an extent that does not fit."""
        lost = 4 if self.padding == "valid" else 0  # pixels that a block's two convolutions take off
        n = size
        for _ in range(self.depth):
            n -= lost
            if n < 2 or n % 2:
                return 0
            n //= 2
        if len(self.down) > self.depth:
            n -= lost
        for _ in range(self.depth):
            n = 2 * n - lost
        return max(0, n)

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 4 or shape[1] != self.in_channels:
            raise ValueError(f"UNet: input must be (N, {self.in_channels}, H, W), got shape {shape}")
        for size in shape[2:]:
            self.output_size(size)


def convolution_weights(
    in_channels: int = 3,
    num_classes: int = 2,
    base: int = 32,
    depth: int = 4,
    bottleneck: bool = True,
    up: str = "nearest",
    **others: Any,
) -> int:
    """How many weights the convolutions of a :class:`UNet` with these options have, without making it.

    All but biases and what belongs to normalisations, which are far fewer.

    >>> model = UNet(1, 2, base=4, depth=2)
    >>> convolution_weights(1, 2, base=4, depth=2) == sum(
    ...     p.numel() for p in model.parameters() if p.ndim == 4)
    True
    """
    widths = [base * 2**level for level in range(depth + bottleneck)]
    count = sum(9 * (a + b) * b for a, b in zip([in_channels, *widths], widths, strict=False))
    below = widths[-1]
    for width in reversed(widths[:depth]):
        rising = below // 2 if up == "transpose" else below
        count += 4 * below * rising if up == "transpose" else 0
        count += 9 * (2 * width + rising) * width
        below = width
    return count + below * num_classes


def _make_up(up: str, channels: int) -> nn.Module:
    if up == "transpose":
        return nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
    return nn.Upsample(scale_factor=2, mode=up)


def crop(skip: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The middle of a skip, as large as what it is joined with (only smaller with "valid" padding)."""
    top, left = (skip.shape[2] - shape[2]) // 2, (skip.shape[3] - shape[3]) // 2
    if top == 0 and left == 0:
        return skip
    return skip[:, :, top : top + shape[2], left : left + shape[3]]


def unet_documents(num_classes: int = 2, in_channels: int = 3) -> UNet:
    """The network of the documents' program: blocks of 32 to 256, no bottleneck, nearest upsampling.

    It is what ``minidl train --network unet-documents`` trains.

    >>> sum(p.numel() for p in unet_documents(2).parameters())
    3716898
    """
    return UNet(in_channels, num_classes, **NETWORKS["unet-documents"])


def unet_paper(
    num_classes: int = 2, in_channels: int = 1, padding: str = "valid", dropout: float = 0.5
) -> UNet:
    """The paper's network: blocks of 64 to 1024, up-convolutions, no padding, dropout at the deepest blocks.

    It is what ``minidl train --network unet-paper`` trains.

    Args:
        num_classes, in_channels: as of :class:`UNet`.
        padding: "same" for outputs as large as the input, other than in the paper.
        dropout: of the two deepest blocks on the way down; 0 for none.

    >>> model = unet_paper(num_classes=2)
    >>> sum(p.numel() for p in model.parameters()), model.output_size(572)
    (31030658, 388)
    """
    options = {**NETWORKS["unet-paper"], "padding": padding, "dropout": dropout}
    return UNet(in_channels, num_classes, **options)
