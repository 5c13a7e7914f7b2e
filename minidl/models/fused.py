"""The U-Net out of fused operations: what ``minidl.fuse`` makes of :class:`~minidl.models.UNet`.

``unet.py`` stays as it is read beside the paper's figure. Here, for each block, the same modules are computed
with fewer passes over memory:

* convolution, bias and ReLU in one operation; batch normalisation, too, in evaluation (its running statistics
  are folded into weight and bias);
* the first convolution after a skip connection reads skip and lower stage as two inputs, doubled on the way
  if ``up="nearest"``: neither the enlarged picture nor the concatenation exists.
"""

from __future__ import annotations

from minidl import nn, ops
from minidl._tensor import Tensor
from minidl.models.unet import DoubleConv, UNet, crop
from minidl.nn.fused import convolve, fused_children, hooked, rule, with_children


class FusedDoubleConv(DoubleConv):
    """(convolution, norm, ReLU) twice; the first one may read a second input."""

    def forward(self, x: Tensor, second: Tensor | None = None, upsample: bool = False) -> Tensor:
        if hooked(*self.children()) or not type(self.conv1) is type(self.conv2) is nn.Conv2d:
            return DoubleConv.forward(self, _whole(x, second, upsample))
        x = convolve(self.conv1, self.norm1, x, second, upsample)
        return self.dropout(convolve(self.conv2, self.norm2, x))


class FusedUNet(UNet):
    """A U-Net whose decoder neither enlarges nor concatenates."""

    def _up(self, upsample: nn.Module, decode: nn.Module, skip: Tensor, x: Tensor) -> Tensor:
        if type(decode) is not FusedDoubleConv:  # someone's own stands there
            return super()._up(upsample, decode, skip, x)
        if self.padding == "same" and _repeats_pixels(upsample):
            return decode(skip, x, upsample=True)
        x = upsample(x)
        return decode(crop(skip, x.shape), x)


def _repeats_pixels(upsample: nn.Module) -> bool:
    """Whether this doubles the picture by repeating pixels, and nobody wants to see how."""
    if type(upsample) is not nn.Upsample or hooked(upsample):
        return False
    return (upsample.size, upsample.scale_factor, upsample.mode) == (None, 2, "nearest")


def _whole(x: Tensor, second: Tensor | None, upsample: bool) -> Tensor:
    if second is None:
        return x
    return ops.cat([x, ops.interpolate(second, scale_factor=2) if upsample else second], dim=1)


@rule(DoubleConv)
def _double_conv(block: DoubleConv) -> nn.Module:
    return with_children(block, fused_children(block), FusedDoubleConv)


@rule(UNet)
def _unet(model: UNet) -> nn.Module:
    return with_children(model, fused_children(model), FusedUNet)
