"""True convolution, equation E1 as the document prints it: the filter is flipped.

Notation: x (H, W) an image, w (m, n) a filter, both 0 outside; y the result, g its cotangent.

    forward   y[a, b] = Σ_u Σ_v  w[u, v] · x[a - u, b - v]

Everything else in this library (and in every network) is cross-correlation. The two differ by a flip and a
shift, which is how this one is computed: with w' [u, v] = w[m-1-u, n-1-v],

    y[i + m - 1, j + n - 1] = Σ_u Σ_v  w'[u, v] · x[i + u, j + v] = (w' ⋆ x)[i, j]

and with m - 1 rows and n - 1 columns of zeros around the image every y is reached. Unlike cross-correlation,
convolution commutes (w * x = x * w) and associates: (x * v) * w = x * (v * w).

Shape rule: full, (H + m - 1, W + n - 1); same, the middle (H, W) of that, from row ⌊(m - 1) / 2⌋ and column
⌊(n - 1) / 2⌋; valid, (H - m + 1, W - n + 1), where the filter lies inside the image.

Backward: that of the operations which it is made of.
"""

from __future__ import annotations

from minidl._tensor import Tensor
from minidl.ops._shapes import require_ndim
from minidl.ops.conv2d import conv2d
from minidl.ops.indexing import getitem
from minidl.ops.movement import flip, reshape

MODES = ("full", "same", "valid")


def convolve2d(image: Tensor, filter: Tensor, mode: str = "full") -> Tensor:
    """Convolve every plane of ``image`` with one filter (torch has no such function; SciPy's has this name).

    Args:
        image: (..., H, W), floating-point.
        filter: (m, n), of the same dtype.
        mode: ``"full"``, all of the result; ``"same"``, its middle, of the image's size; or ``"valid"``,
            where the filter lies wholly inside the image.

    Returns:
        (..., H', W'), see the shape rule in this module's text.

    Raises:
        ValueError: an image of fewer than two dimensions, a filter of other than two, either of them empty,
            an unknown mode, or with "valid" a filter larger than the image.
        TypeError: dtypes that differ or are not floating-point.

    >>> import minidl
    >>> image = minidl.tensor([[0.0, 1.0, 0.0, 0.0]])
    >>> minidl.ops.convolve2d(image, minidl.tensor([[1.0, 2.0, 3.0]]), mode="same")   # an impulse: the filter
    tensor([[1., 2., 3., 0.]])
    >>> minidl.ops.conv2d(image.reshape(1, 1, 1, 4), minidl.tensor([[[[1.0, 2.0, 3.0]]]]), padding="same")
    tensor([[[[3., 2., 1., 0.]]]])
    """
    require_ndim("convolve2d", "filter", filter, 2, "(m, n)")
    if image.ndim < 2:
        raise ValueError(f"convolve2d: image must be (..., H, W), got shape {image.shape}")
    if mode not in MODES:
        raise ValueError(f"convolve2d: mode must be one of {', '.join(MODES)}, got {mode!r}")
    (height, width), (m, n) = image.shape[-2:], filter.shape
    if 0 in (height, width, m, n):
        raise ValueError(f"convolve2d: empty image {image.shape} or filter {filter.shape}")
    if mode == "valid" and (m > height or n > width):
        raise ValueError(f"convolve2d: filter {filter.shape} is larger than the image {image.shape}")
    planes = 1
    for extent in image.shape[:-2]:
        planes *= extent
    x = reshape(image, (planes, 1, height, width))
    flipped = reshape(flip(filter, (0, 1)), (1, 1, m, n))
    y = conv2d(x, flipped, padding=(0, 0) if mode == "valid" else (m - 1, n - 1))
    if mode == "same":
        top, left = (m - 1) // 2, (n - 1) // 2
        y = getitem(y, (..., slice(top, top + height), slice(left, left + width)))
    return reshape(y, (*image.shape[:-2], *y.shape[-2:]))
