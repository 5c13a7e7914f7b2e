"""What is measured: one list, read by the parent and by every worker (a workload travels as its name).

The shapes are those of the documents' U-Net with a batch of 16 pictures of 128 x 128, unless a line says
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from minidl.bench.goals import OPERATION, PREDICTION, TRAIN_DOCUMENTS, TRAIN_PAPER
from minidl.bench.tasks import QUICK_SWEEP, Array, Network, Op, Update, Workload

BATCH, CLASSES = 16, 2


def image(channels: int, size: int, batch: int = BATCH) -> Array:
    """A batch of square pictures or feature maps."""
    return Array((batch, channels, size, size))


def weight(*shape: int) -> Array:
    """A filter or matrix."""
    return Array(shape, "weight")


def vector(size: int) -> Array:
    """A bias, or a scale."""
    return Array((size,), "vector")


TORCH = ("torch", "torch-channels-last")
TRAINERS = (*TORCH, "torch-compile", "tensorflow", "tensorflow-xla")
PREDICTORS = ("torch-channels-last", "torch-compile", "onnxruntime")
SWEEPERS = {"size": ("torch-channels-last", "onnxruntime"), "batch": ("torch-channels-last", "tensorflow")}
SIZES, BATCHES, BATCH_SIZE = (64, 128, 256, 512, 1024, 2048), (1, 2, 4, 8, 16, 32, 64), 64

WIDE = image(32, 128)  # what the first block gives: the largest array, at which element-wise work is bound


def _networks() -> Iterator[Workload]:
    yield Workload(
        "train-documents",
        "training",
        "training step, documents' U-Net, 16x3x128x128",
        Network("documents", BATCH, 128, True),
        TRAINERS,
        7,
        TRAIN_DOCUMENTS,
    )
    yield Workload(
        "train-paper",
        "training",
        "training step, paper's U-Net, 1x1x512x512",
        Network("paper", 1, 512, True),
        TRAINERS,
        5,
        TRAIN_PAPER,
    )
    for name, batch, size in (("predict-one", 1, 512), ("predict-batch", BATCH, 128)):
        yield Workload(
            name,
            "prediction",
            f"prediction, documents' U-Net, {batch}x3x{size}x{size}",
            Network("documents", batch, size, False),
            PREDICTORS,
            9,
            PREDICTION,
        )


def _sweeps() -> Iterator[Workload]:
    for size in SIZES:
        task = Network("documents", 1, size, False)
        yield Workload(
            f"size-{size}",
            "size",
            f"prediction, one {size}x{size}",
            task,
            SWEEPERS["size"],
            5 + 4 * (size < 512),
        )
    for batch in BATCHES:
        task = Network("documents", batch, BATCH_SIZE, True)
        title = f"training step, batch of {batch}, {BATCH_SIZE}x{BATCH_SIZE}"
        yield Workload(f"batch-{batch}", "batch", title, task, SWEEPERS["batch"], 5)


def convolution(channels: int, filters: int, size: int, kernel: int = 3, **options: int) -> Op:
    """A convolution with bias that keeps the size, unless it has a stride."""
    groups, dilation = options.get("groups", 1), options.get("dilation", 1)
    return Op(
        "conv2d",
        (image(channels, size),),
        {"weight": weight(filters, channels // groups, kernel, kernel), "bias": vector(filters)},
        {"padding": dilation * (kernel // 2), **options},
        rereads=2,
    )


#: (channels, filters, extent) of the 3x3 convolutions of the documents' U-Net, each shape once.
UNET_CONVOLUTIONS = (
    (3, 32, 128),
    (32, 32, 128),
    (32, 64, 64),
    (64, 64, 64),
    (64, 128, 32),
    (128, 128, 32),
    (128, 256, 16),
    (256, 256, 16),
    (512, 256, 16),
    (384, 128, 32),
    (192, 64, 64),
    (96, 32, 128),
)


def _convolutions() -> Iterator[tuple[str, str, Op]]:
    for channels, filters, size in UNET_CONVOLUTIONS:
        title = f"3x3 convolution {channels} → {filters} at {size}x{size}"
        yield f"conv-{channels}-{filters}-{size}", title, convolution(channels, filters, size)
    yield "conv-1x1-head", "1x1 convolution 32 → 2 at 128x128", convolution(32, 2, 128, 1)
    yield "conv-1x1", "1x1 convolution 128 → 128 at 32x32", convolution(128, 128, 32, 1)
    yield "conv-strided", "3x3, stride 2, 32 → 64 at 128x128", convolution(32, 64, 128, stride=2)
    yield "conv-dilated", "3x3, dilation 2, 64 → 64 at 64x64", convolution(64, 64, 64, dilation=2)
    yield "conv-grouped", "3x3, 4 groups, 64 → 64 at 64x64", convolution(64, 64, 64, groups=4)
    yield "conv-depthwise", "3x3, depthwise, 64 at 64x64", convolution(64, 64, 64, groups=64)
    up = {"weight": weight(128, 64, 2, 2), "bias": vector(64)}
    task = Op("conv_transpose2d", (image(128, 32),), up, {"stride": 2}, rereads=2)
    yield "conv-transpose", "transposed 2x2, stride 2, 128 → 64 at 32x32", task
    rows = Array((4096, 256), "rows")
    task = Op("linear", (rows,), {"weight": weight(256, 256), "bias": vector(256)}, rereads=2)
    yield "linear", "linear, 4096 rows, 256 → 256", task


def _moving() -> Iterator[tuple[str, str, Op]]:
    """Operations that mostly move numbers."""
    yield "max_pool2d", "2x2 max pooling", Op("max_pool2d", (WIDE,), options={"kernel_size": 2}, rereads=0)
    yield (
        "avg_pool2d",
        "2x2 average pooling",
        Op("avg_pool2d", (WIDE,), options={"kernel_size": 2}, rereads=0),
    )
    task = Op("adaptive_avg_pool2d", (image(256, 16),), options={"output_size": 8}, rereads=0)
    yield "adaptive_avg_pool2d", "adaptive average pooling to 8x8", task
    for mode in ("nearest", "bilinear"):
        options = {"scale_factor": 2, "mode": mode}
        task = Op("interpolate", (image(64, 64),), options=options, rereads=0)
        yield f"interpolate-{mode}", f"{mode} upsampling, twice the size", task
    task = Op("cat", (image(32, 128), image(64, 128)), options={"dim": 1}, listed=True, rereads=0)
    yield "cat", "concatenation, 32 and 64 channels", task
    task = Op("dropout", (image(256, 16),), options={"p": 0.5, "training": True}, rereads=0, random=True)
    yield "dropout", "dropout", task


def _normalising() -> Iterator[tuple[str, str, Op]]:
    affine = {"weight": vector(32), "bias": vector(32)}
    running = {
        "running_mean": Array((32,), "vector", grad=False),
        "running_var": Array((32,), "variance", grad=False),
    }
    yield (
        "batch_norm",
        "batch normalisation",
        Op("batch_norm", (WIDE,), {**running, **affine}, {"training": True}),
    )
    yield "group_norm", "group normalisation, 4 groups", Op("group_norm", (WIDE,), affine, {"num_groups": 4})
    yield "instance_norm", "instance normalisation", Op("instance_norm", (WIDE,), affine)
    rows = Array((4096, 256), "rows")
    affine = {"weight": vector(256), "bias": vector(256)}
    task = Op("layer_norm", (rows,), affine, {"normalized_shape": [256]})
    yield "layer_norm", "layer normalisation, 4096 rows of 256", task


def _pointwise() -> Iterator[tuple[str, str, Op]]:
    for name in ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu", "elu", "softplus", "hardswish"):
        yield name, name.replace("_", " "), Op(name, (WIDE,))
    logits = image(CLASSES, 128)
    yield "softmax", "softmax over 2 classes", Op("softmax", (logits,), options={"dim": 1})
    labels = Array((BATCH, 128, 128), "labels", grad=False)
    yield "cross_entropy", "cross-entropy of 2 classes", Op("cross_entropy", (logits, labels), rereads=2)


def _operations() -> Iterator[Workload]:
    families: tuple[Callable[[], Iterator[tuple[str, str, Op]]], ...] = (
        _convolutions,
        _moving,
        _normalising,
        _pointwise,
    )
    for family in families:
        for name, title, op in family():
            yield Workload(name, "operations", title, op, TORCH, 9, OPERATION)
    for optimizer, options in (("Adam", {}), ("SGD", {"lr": 0.01, "momentum": 0.9})):
        title = f"{optimizer} step, 3.7 million parameters"
        task = Update(optimizer, options)
        yield Workload(
            optimizer.lower(), "operations", title, task, ("torch", "torch-fused-optimizer"), 9, OPERATION
        )


#: Everything, in the order of the tables.
WORKLOADS: tuple[Workload, ...] = (*_networks(), *_operations(), *_sweeps())
GROUPS = {
    "training": "Training steps",
    "prediction": "Prediction",
    "operations": "Operations, forward and backward",
    "size": "Prediction: time against the size of the picture",
    "batch": "Training step: time against the batch",
}


def find(name: str, quick: bool = False) -> Workload:
    """The workload of that name.

    Args:
        name: as in the list.
        quick: its small form.

    Raises:
        KeyError: there is none.

    >>> find("relu").title, find("relu", quick=True).task.inputs[0].shape
    ('relu', (2, 32, 16, 16))
    """
    for workload in WORKLOADS:
        if workload.name == name:
            return workload.small() if quick else workload
    raise KeyError(name)


def in_quick_run(workload: Workload) -> bool:
    """Whether ``--quick`` measures it at all: the long ends of the sweeps are left out."""
    if workload.group not in QUICK_SWEEP:
        return True
    assert isinstance(workload.task, Network)
    extent = workload.task.size if workload.group == "size" else workload.task.batch
    return extent <= QUICK_SWEEP[workload.group]
