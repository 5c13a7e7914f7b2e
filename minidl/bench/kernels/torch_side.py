"""The same cases by PyTorch's own operations, on the CPU and on a GPU (convolutions there by cuDNN).

Only what has the same arguments and results is here: a peer that computes something else would not be one.
On a GPU everything is done in float32: TF32, which rounds the factors to 10 bits, is switched off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minidl.bench.kernels.case import Call, Case, OnHost, mapped
from minidl.bench.kernels.contestants import Contestant

#: From torch and the arguments, as torch's tensors, to something that can be called again and again.
Peer = Callable[..., Callable[[], Any]]

#: Operations for which the memory order of pictures makes a difference.
PICTURES = ("conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "interpolate")


def peers(case: Case, call: Call, backend: str) -> Iterator[Contestant]:
    """PyTorch's contestants for a case, none where it has no such operation.

    Args:
        case: the function.
        call: its arguments.
        backend: "torch" for the CPU, "cudnn" for the current GPU.
    """
    import torch

    from minidl.kernels.threads import get_num_threads

    torch.set_num_threads(get_num_threads())
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # it tries its algorithms, and keeps the fastest
    peer = PEERS.get(case.about)
    if peer is None:
        return
    place = "cuda" if backend == "cudnn" else "cpu"
    orders = {"": torch.contiguous_format}
    if case.operation in PICTURES:
        orders["channels-last"] = torch.channels_last
    for label, order in orders.items():

        def tensor(array: Any, order: Any = order) -> Any:
            made = torch.from_numpy(array.copy()).to(place)
            return made.contiguous(memory_format=order) if made.ndim == 4 else made

        mine: Call = mapped(call, tensor)
        with torch.no_grad():
            work = peer(torch, *mine.args, **mine.options)
        yield Contestant(f"{backend} {label}".strip(), backend, _without_tape(torch, work), _to_host)


def _without_tape(torch: Any, work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with torch.no_grad():
            return work()

    return run


def _to_host(result: Any) -> Sequence[Any]:
    several = result if isinstance(result, tuple | list) else (result,)
    return [None if a is None else a.cpu().numpy() for a in several]


# --- convolutions and products ------------------------------------------------------------------------------


def _conv(t: Any, x: Any, weight: Any, bias: Any, out: Any, **options: Any) -> Any:
    return lambda: t.nn.functional.conv2d(x, weight, bias, **options)


def _conv_backward(which: int) -> Peer:
    def prepare(t: Any, g: Any, other: Any, shape: Any, **options: Any) -> Any:
        numbers = [list(options[key]) for key in ("stride", "padding", "dilation")]
        mask = [index == which for index in range(3)]
        order = t.channels_last if g.is_contiguous(memory_format=t.channels_last) else t.contiguous_format
        missing = t.empty(shape, device=g.device).contiguous(memory_format=order)
        x, weight = (missing, other) if which == 0 else (other, missing)
        tail = (None, *numbers, False, [0, 0], options["groups"], mask)
        return lambda: t.ops.aten.convolution_backward(g, x, weight, *tail)[which]

    return prepare


# --- windows ------------------------------------------------------------------------------------------------


def _max_pool(t: Any, x: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    numbers = [list(v) for v in (kernel, stride, padding, dilation)]

    def run() -> Any:
        return t.ops.aten.max_pool2d_with_indices(x, *numbers)[
            0
        ], None  # torch's indices are a plane's pixels

    return run


def _avg_pool(t: Any, x: Any, kernel: Any, out: Any, stride: Any, padding: Any, divisor: int) -> Any:
    numbers = [list(v) for v in (kernel, stride, padding)]
    return lambda: t.ops.aten.avg_pool2d(x, *numbers, False, True, divisor)


def _avg_pool_backward(
    t: Any, g: Any, x_shape: Any, kernel: Any, stride: Any, padding: Any, divisor: int
) -> Any:
    x = t.empty(x_shape, device=g.device)
    numbers = [list(v) for v in (kernel, stride, padding)]
    return lambda: t.ops.aten.avg_pool2d_backward(g, x, *numbers, False, True, divisor)


def _adaptive(t: Any, x: Any, vertical: OnHost, horizontal: OnHost) -> Any:
    return lambda: t.nn.functional.adaptive_avg_pool2d(x, (len(vertical), len(horizontal)))


def _interpolate(t: Any, x: Any, vertical: OnHost, horizontal: OnHost) -> Any:
    size = [len(vertical[0][0]), len(horizontal[0][0])]
    if vertical[0][1] is None:
        return lambda: t.ops.aten.upsample_nearest2d(x, size)
    return lambda: t.ops.aten.upsample_bilinear2d(x, size, False)


def _interpolate_backward(t: Any, g: Any, x_shape: Any, vertical: OnHost, horizontal: OnHost) -> Any:
    sizes = (list(g.shape[2:]), list(x_shape))
    if vertical[0][1] is None:
        return lambda: t.ops.aten.upsample_nearest2d_backward(g, *sizes)
    return lambda: t.ops.aten.upsample_bilinear2d_backward(g, *sizes, False)


def _unfold(t: Any, x: Any, kernel: Any, out: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    return lambda: t.nn.functional.unfold(x, kernel, dilation, padding, stride)


def _fold(
    t: Any, col: Any, x_shape: Any, kernel: Any, out: Any, stride: Any, padding: Any, dilation: Any
) -> Any:
    return lambda: t.nn.functional.fold(col, x_shape[2:], kernel, dilation, padding, stride)


# --- sums ---------------------------------------------------------------------------------------------------


def _norm(t: Any, x: Any, weight: Any, bias: Any, groups: int | None, eps: float) -> Any:
    if groups is None:

        def batch() -> Any:
            y, mean, _ = t.ops.aten.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
            return y, mean, None, None

        return batch
    rows = x.reshape(x.shape[:2])

    def layer() -> Any:
        y, mean, _ = t.ops.aten.native_layer_norm(rows, [x.shape[1]], weight, bias, eps)
        return y.reshape(x.shape), mean.reshape(-1), None, None

    return layer


def _norm_backward(
    t: Any, g: Any, x: Any, weight: Any, mean: Any, inv_std: Any, groups: int | None, needed: Any
) -> Any:
    if groups is None:
        given = (g, x, weight, None, None, mean, inv_std, True, 1e-5, [True, True, True])
        return lambda: t.ops.aten.native_batch_norm_backward(*given)
    rows = (g.reshape(g.shape[:2]), x.reshape(x.shape[:2]), [x.shape[1]])
    statistics = (mean.reshape(-1, 1), inv_std.reshape(-1, 1))
    bias = t.zeros_like(weight)

    def layer() -> Any:
        dx, dw, db = t.ops.aten.native_layer_norm_backward(*rows, *statistics, weight, bias, [True] * 3)
        return dx.reshape(x.shape), dw, db

    return layer


def _confusion(t: Any, truth: Any, prediction: Any, num_classes: int, ignore_index: Any) -> Any:
    pairs = num_classes**2

    def run() -> Any:
        counts = t.bincount((truth * num_classes + prediction).reshape(-1), minlength=pairs)
        return counts.reshape(num_classes, num_classes), None

    return run


def _aten(name: str, *tail: Any) -> Peer:
    """An operation of torch's that takes the arguments as they are."""
    return lambda t, *args: lambda: getattr(t.ops.aten, name)(*args, *tail)


def _named(name: str) -> Peer:
    """A function of torch's that takes the arguments as they are."""
    return lambda t, *args, **options: lambda: getattr(t, name)(*args, **options)


PEERS: dict[str, Peer] = {
    "conv2d.forward": _conv,
    "conv2d.backward_data": _conv_backward(0),
    "conv2d.backward_weight": _conv_backward(1),
    "conv2d.backward_bias": lambda t, g: lambda: g.sum((0, 2, 3)),
    "gemm.multiply": _named("mm"),
    "max_pool2d.forward": _max_pool,
    "avg_pool2d.forward": _avg_pool,
    "avg_pool2d.backward": _avg_pool_backward,
    "adaptive_avg_pool2d.forward": _adaptive,
    "interpolate.forward": _interpolate,
    "interpolate.backward": _interpolate_backward,
    "max_unpool2d.put": lambda t, x, i, size: lambda: t.ops.aten.max_unpool2d(x, i, list(size)),
    "unfold.forward": _unfold,
    "unfold.backward": _fold,
    "normalize.forward": _norm,
    "normalize.backward": _norm_backward,
    "softmax.forward": _named("softmax"),
    "softmax.backward": lambda t, g, p, axis: lambda: t.ops.aten._softmax_backward_data(g, p, axis, p.dtype),
    "softmax.log_forward": _named("log_softmax"),
    "softmax.log_backward": lambda t, g, p, axis: (
        lambda: t.ops.aten._log_softmax_backward_data(g, p, axis, p.dtype)
    ),
    "reductions.sum": lambda t, x, axes: lambda: x.sum(axes, keepdim=True),
    "confusion.matrix": _confusion,
    "arithmetic.add": _named("add"),
    "dropout.backward": _named("mul"),
    "cat.forward": lambda t, *arrays, axis: lambda: t.cat(arrays, axis),
    "activations.relu": _aten("relu"),
    "activations.relu_backward": _aten("threshold_backward", 0),
    "activations.leaky_relu": _aten("leaky_relu"),
    "activations.leaky_relu_backward": _aten("leaky_relu_backward", False),
    "activations.hardswish": _aten("hardswish"),
    "activations.hardswish_backward": _aten("hardswish_backward"),
    "activations.sigmoid": _aten("sigmoid"),
    "activations.sigmoid_backward": _aten("sigmoid_backward"),
    "activations.tanh": _aten("tanh"),
    "activations.tanh_backward": _aten("tanh_backward"),
    "activations.silu": _aten("silu"),
    "activations.silu_backward": _aten("silu_backward"),
    "activations.elu": _aten("elu"),
    "activations.elu_backward": lambda t, g, x, alpha: (
        lambda: t.ops.aten.elu_backward(g, alpha, 1, 1, False, x)
    ),
    "activations.softplus": _aten("softplus"),
    "activations.softplus_backward": _aten("softplus_backward"),
    "activations.gelu": _aten("gelu"),
    "activations.gelu_backward": _aten("gelu_backward"),
    "activations.gelu_tanh": lambda t, x: lambda: t.ops.aten.gelu(x, approximate="tanh"),
    "activations.gelu_tanh_backward": lambda t, g, x: (
        lambda: t.ops.aten.gelu_backward(g, x, approximate="tanh")
    ),
}
