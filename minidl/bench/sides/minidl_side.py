"""minidl: fused, fused with the stages recomputed, or plain."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

import minidl
from minidl.bench.sides import job
from minidl.bench.sides.job import Job
from minidl.bench.sides.weights import network
from minidl.bench.tasks import Network, Op, Update, Workload
from minidl.kernels import memory

#: The compiled kernels.
BACKEND = "numba"


class Side:
    """See :mod:`minidl.bench.sides`.

    Args:
        setting: "fused" (``minidl.fuse`` rewrites the network), "recompute" (also fused) or "plain".
        threads: for ``minidl.set_num_threads``.
    """

    def __init__(self, setting: str, threads: int) -> None:
        self.setting = setting
        minidl.set_num_threads(threads)
        if "MINIDL_BACKEND" not in os.environ:  # who sets it wants to measure that one
            minidl.use(BACKEND)
        warnings.simplefilter("ignore", minidl.dispatch.KernelFallbackWarning)

    def prepare(self, workload: Workload) -> Job:
        """The workload in minidl."""
        task = workload.task
        if isinstance(task, Network):
            return self._step(task) if task.train else self._prediction(task)
        return _update(task) if isinstance(task, Update) else _op(task)

    def _model(self, name: str) -> Any:
        model = network(name)
        model.recompute = self.setting == "recompute"
        return model if self.setting == "plain" else minidl.fuse(model)

    def _step(self, task: Network) -> Job:
        return job.step_job(training_step(self._model(task.model), task))

    def _prediction(self, task: Network) -> Job:
        # In evaluation mode before fusing: only there may a normalisation melt into its convolution.
        model = network(task.model).eval()
        if self.setting == "fused":
            model = minidl.fuse(model)
        images, _ = job.network_inputs(task, model.in_channels)
        x = minidl.Tensor(images)

        def predict() -> Any:
            with minidl.no_grad():
                return model(x).numpy()

        return job.predict_job(predict)


def training_step(model: Any, task: Network) -> Any:
    """A callable that takes one step (forward, cross-entropy, backward, Adam) and gives the loss.

    Args:
        model: a network of minidl's.
        task: batch and size of the pictures.
    """
    optimizer = minidl.optim.Adam(model.parameters(), job.LEARNING_RATE)
    images, labels = job.network_inputs(task, model.in_channels)
    x, target = minidl.Tensor(images), minidl.Tensor(labels)

    def step() -> float:
        optimizer.zero_grad()
        loss = minidl.ops.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def memory_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes in the order in which they lie in memory where minidl's convolution gives this shape.

    It is asked: a convolution of one picture with as many channels runs, and the strides tell.

    Args:
        shape: (N, C, H, W).
    """
    _, channels, height, width = shape
    x = minidl.Tensor(np.zeros((1, channels, height, width), np.float32))
    w = minidl.Tensor(np.zeros((channels, channels, 3, 3), np.float32))
    with minidl.no_grad():
        y = minidl.ops.conv2d(x, w, padding=1).data
    inner = sorted((1, 2, 3), key=lambda axis: -y.strides[axis])
    return (0, *inner)


def arranged(array: Any, order: tuple[int, ...]) -> Any:
    """A copy whose axes lie in memory in this order (the first one outermost), where results of kernels lie.

    >>> arranged(np.zeros((2, 3, 4, 5), "f"), (0, 2, 3, 1)).strides
    (240, 4, 60, 12)
    """
    turned = memory.empty(tuple(array.shape[axis] for axis in order), array.dtype)
    copy = turned.transpose(np.argsort(order))
    copy[...] = array
    return copy


def _as_met(array: Any, spec: Any) -> Any:
    """As it is in a network: where results of kernels lie, feature maps in the order of convolutions'."""
    return arranged(array, memory_order(array.shape) if spec.role == "image" else tuple(range(array.ndim)))


def _op(op: Op) -> Job:
    function = getattr(minidl.ops, op.function)
    positional, named = job.op_inputs(op)
    tensors = [
        minidl.Tensor(_as_met(value, spec), requires_grad=spec.grad)
        for value, spec in zip([*positional, *named.values()], op.arrays(), strict=True)
    ]
    leaves = [t for t in tensors if t.requires_grad]
    count = len(positional)
    arguments = [tensors[:count]] if op.listed else tensors[:count]
    keywords = {**dict(zip(named, tensors[count:], strict=True)), **op.options}
    if "normalized_shape" in keywords:
        keywords["normalized_shape"] = tuple(keywords["normalized_shape"])
    # Handed back in the order in which the output came, as the next operation's backward would.
    first = function(*arguments, **keywords).data
    g = job.cotangent(first.shape)
    inner = tuple(range(1, g.ndim))
    if g.ndim == 4:
        inner = tuple(sorted(inner, key=lambda axis: -first.strides[axis]))
    g = minidl.Tensor(arranged(g, (0, *inner)[: g.ndim]))

    return job.op_job(
        op,
        lambda: function(*arguments, **keywords),
        leaves,
        g,
        lambda tensor: tensor.detach().numpy(),
    )


def _update(task: Update) -> Job:
    model = network("documents")
    parameters = list(model.parameters())
    optimizer = getattr(minidl.optim, task.optimizer)(parameters, **task.options)
    for seed, p in enumerate(parameters):
        gradient = np.random.default_rng(seed).standard_normal(p.shape, dtype=np.float32)
        p.grad = minidl.Tensor(arranged(gradient, tuple(range(gradient.ndim))))

    def run() -> job.Parts:
        return {"step": job.timed(optimizer.step)[0]}

    return Job(run, lambda: [job.sketch(p.detach().numpy()) for p in parameters])
