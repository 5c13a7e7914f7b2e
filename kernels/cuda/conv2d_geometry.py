"""The numbers of a convolution that all of its kernels on a device are given."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from minidl.kernels.cuda.device import namespace

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """x (n, c, h, w), weight (k, c/groups, kh, kw), y (n, k, oh, ow), and how the windows lie."""

    x_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    out: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @property
    def channels(self) -> int:
        """Of a group."""
        return self.weight_shape[1]

    @property
    def filters(self) -> int:
        """Of a group."""
        return self.weight_shape[0] // self.groups

    @property
    def kernel(self) -> Pair:
        """kh, kw."""
        return self.weight_shape[2], self.weight_shape[3]

    @property
    def taps(self) -> int:
        """Numbers of one filter: c/groups*kh*kw."""
        return prod(self.weight_shape[1:])

    @property
    def pixels(self) -> int:
        """Outputs of all images, of one filter."""
        return self.x_shape[0] * prod(self.out)

    @property
    def y_shape(self) -> tuple[int, ...]:
        """(n, k, oh, ow)."""
        return self.x_shape[0], self.weight_shape[0], *self.out

    @property
    def sizes(self) -> tuple[int, ...]:
        """c, h, w, k, kh, kw, oh, ow, sh, sw, ph, pw, dh, dw: as most kernels take them."""
        k = self.weight_shape[0]
        return (
            *self.x_shape[1:],
            k,
            *self.kernel,
            *self.out,
            *self.stride,
            *self.padding,
            *self.dilation,
        )

    def adjoint(self) -> Geometry:
        """The convolution with stride 1 whose forward is this one's backward for the data.

        It runs over g with s-1 zeros between its values (:func:`spread`), with the filters flipped and
        filters and channels exchanged (``conv2d_flipped`` in ``conv2d_implicit.cu``). Its padding may be
        negative: then the windows begin inside.
        """
        n, k, (kh, kw) = self.x_shape[0], self.weight_shape[0], self.kernel
        size = tuple((o - 1) * s + 1 for o, s in zip(self.out, self.stride, strict=True))
        padding = tuple(
            d * (e - 1) - p for d, e, p in zip(self.dilation, self.kernel, self.padding, strict=True)
        )
        weight_shape = (self.x_shape[1], self.filters, kh, kw)
        h, w = self.x_shape[2:]
        return Geometry(
            (n, k, *size), weight_shape, (h, w), (1, 1), (padding[0], padding[1]), self.dilation, self.groups
        )


def spread(g: Any, stride: Pair) -> Any:
    """g with s-1 rows and columns of zeros between its own."""
    if stride == (1, 1):
        return g
    n, k, oh, ow = g.shape
    size = ((oh - 1) * stride[0] + 1, (ow - 1) * stride[1] + 1)
    spaced = namespace(g).zeros((n, k, *size), g.dtype)
    spaced[:, :, :: stride[0], :: stride[1]] = g
    return spaced
