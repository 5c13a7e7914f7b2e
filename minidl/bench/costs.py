"""What a workload must at least do: multiplications and additions, and bytes to and from memory.

FLOPs are those of direct convolution, two for each product of a filter tap and a pixel, whatever algorithm
runs: a Winograd convolution does fewer, so that its share of the machine's SGEMM rate can exceed 100 %.

Bytes are the least that must cross between memory and processor if each array is touched once in each pass
(and nothing stays in the caches from one pass to the next). For a network only the arrays at the borders of
its convolutions count, since all else can be fused into them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from minidl.bench.tasks import Array, Network, Op, Update, Workload
from minidl.bench.workloads import CLASSES

FLOAT = 4
#: Arrays of all parameters that pass through memory in a step: read w, g, m, v, write w, m, v.
ADAM_TRAFFIC = 7
SGD_TRAFFIC = 5  # with momentum: read w, g, v, write w, v

#: Constructor arguments of the two networks (those of minidl.models.UNet).
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "documents": {
        "in_channels": 3,
        "num_classes": CLASSES,
        "base": 32,
        "depth": 4,
        "bottleneck": False,
        "up": "nearest",
    },
    "paper": {
        "in_channels": 1,
        "num_classes": CLASSES,
        "base": 64,
        "depth": 4,
        "bottleneck": True,
        "up": "transpose",
    },
}


class Cost(NamedTuple):
    """FLOPs and bytes."""

    flops: int
    bytes: int


class Layer(NamedTuple):
    """A convolution: channels in and out, window, how much its input is shrunk (``up``: it doubles it)."""

    channels: int
    filters: int
    kernel: int
    shrunk: int
    up: bool = False

    def parameters(self) -> int:
        """Weights and biases."""
        return (self.channels * self.kernel**2 + 1) * self.filters

    def sizes(self, network: Network) -> tuple[int, int]:
        """Numbers that go in and come out."""
        pixels = network.batch * (network.size // self.shrunk) ** 2
        return pixels * self.channels, pixels * self.filters * (4 if self.up else 1)

    def flops(self, network: Network) -> int:
        """Of the forward."""
        into, out = self.sizes(network)
        # A transposed convolution with stride 2 sends each input pixel into kernel² outputs.
        return (
            2 * into * self.filters * self.kernel**2 if self.up else 2 * out * self.channels * self.kernel**2
        )


def layers(model: str) -> Iterator[Layer]:
    """The convolutions of a network, in the order in which they run.

    >>> sum(layer.parameters() for layer in layers("documents"))
    3716898
    >>> sum(layer.parameters() for layer in layers("paper"))
    31030658
    """
    options = ARCHITECTURES[model]
    base: int = options["base"]
    depth: int = options["depth"]
    widths = [base * 2**level for level in range(depth + options["bottleneck"])]
    channels: int = options["in_channels"]
    for level, width in enumerate(widths):
        yield Layer(channels, width, 3, 2**level)
        yield Layer(width, width, 3, 2**level)
        channels = width
    for level in reversed(range(depth)):
        if options["up"] == "transpose":
            yield Layer(channels, channels // 2, 2, 2 ** (level + 1), up=True)
            channels //= 2
        yield Layer(channels + widths[level], widths[level], 3, 2**level)
        yield Layer(widths[level], widths[level], 3, 2**level)
        channels = widths[level]
    yield Layer(channels, options["num_classes"], 1, 1)


def parameters(model: str) -> int:
    """How many numbers a network learns."""
    return sum(layer.parameters() for layer in layers(model))


def _network(task: Network) -> Cost:
    flops = traffic = 0
    for index, layer in enumerate(layers(task.model)):
        into, out = layer.sizes(task)
        flops += layer.flops(task)
        traffic += FLOAT * (into + out + layer.parameters())
        if task.train:
            # Two more products of the forward's size; the first layer's input needs no gradient.
            flops += layer.flops(task) * (2 if index else 1)
            # dy and x in, dw out; for dx also w in and dx out.
            traffic += FLOAT * (out + into + layer.parameters())
            traffic += FLOAT * (into + layer.parameters()) if index else 0
    if task.train:
        traffic += ADAM_TRAFFIC * FLOAT * parameters(task.model)
    return Cost(flops, traffic)


def output_shape(op: Op) -> tuple[int, ...]:
    """The shape of an operation's result.

    >>> from minidl.bench.workloads import find
    >>> output_shape(find("conv-strided").task), output_shape(find("cat").task)
    ((16, 64, 64, 64), (16, 96, 128, 128))
    """
    shape, options = op.inputs[0].shape, op.options
    if op.function == "cross_entropy":
        return ()
    if op.function == "linear":
        return (shape[0], op.named["weight"].shape[0])
    if op.function == "cat":
        return (shape[0], sum(a.shape[1] for a in op.inputs), *shape[2:])
    if op.function in ("layer_norm",) or len(shape) != 4:
        return shape
    n, c, h, w = shape
    if op.function == "conv2d":
        filters, _, kernel, _ = op.named["weight"].shape
        reach = options.get("dilation", 1) * (kernel - 1) + 1
        h, w = ((e + 2 * options["padding"] - reach) // options.get("stride", 1) + 1 for e in (h, w))
        return (n, filters, h, w)
    if op.function == "conv_transpose2d":
        return (n, op.named["weight"].shape[1], h * options["stride"], w * options["stride"])
    if op.function in ("max_pool2d", "avg_pool2d"):
        return (n, c, h // options["kernel_size"], w // options["kernel_size"])
    if op.function == "adaptive_avg_pool2d":
        return (n, c, options["output_size"], options["output_size"])
    if op.function == "interpolate":
        return (n, c, h * options["scale_factor"], w * options["scale_factor"])
    return shape


def _size(array: Array) -> int:
    return math.prod(array.shape) * (2 if array.role == "labels" else 1)  # labels have 8 bytes


def products(outputs: int, weight: tuple[int, ...]) -> int:
    """FLOPs of one pass of direct convolution, whichever: forward, or the gradient of input or weight.

    Args:
        outputs: numbers that the forward gives.
        weight: shape (K, C/groups, kh, kw).

    >>> products(10, (4, 8, 3, 3))
    1440
    """
    return 2 * outputs * math.prod(weight[1:])


def _op(op: Op) -> Cost:
    out, inputs = math.prod(output_shape(op)), [_size(a) for a in op.arrays()]
    flops = 0
    if op.function in ("conv2d", "linear"):
        flops = 3 * products(out, op.named["weight"].shape)
    elif op.function == "conv_transpose2d":
        flops = 3 * products(math.prod(op.inputs[0].shape), op.named["weight"].shape)
    forward = sum(inputs) + out
    again = sum(sorted(inputs, reverse=True)[: op.rereads])
    backward = out + again + sum(_size(a) for a in op.arrays() if a.grad)
    return Cost(flops, FLOAT * (forward + backward))


def cost(workload: Workload) -> Cost:
    """FLOPs by direct convolution and the least traffic of one run of a workload.

    >>> from minidl.bench.workloads import find
    >>> round(cost(find("train-documents")).flops / 1e9)
    298
    """
    task = workload.task
    if isinstance(task, Network):
        return _network(task)
    if isinstance(task, Update):
        passes = ADAM_TRAFFIC if task.optimizer == "Adam" else SGD_TRAFFIC
        return Cost(0, passes * FLOAT * parameters("documents"))
    return _op(task)


def memory_needed(task: Network) -> int:
    """Bytes that a library may want at its peak: a generous guess, to leave out what would not fit.

    The widest stage of a U-Net holds the skip, the enlarged picture, both joined, and a convolution's output:
    about seven times the base's channels. In training every convolution's input stays.
    """
    pixels = task.batch * task.size**2
    base: int = ARCHITECTURES[task.model]["base"]
    kept = sum(sum(layer.sizes(task)) for layer in layers(task.model)) if task.train else 7 * base * pixels
    return FLOAT * (2 * kept + 4 * parameters(task.model))
