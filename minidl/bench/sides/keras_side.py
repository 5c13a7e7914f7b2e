"""TensorFlow through Keras, compiled by TensorFlow's graph or by XLA."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minidl.bench.costs import ARCHITECTURES
from minidl.bench.sides import job, weights
from minidl.bench.sides.job import Job
from minidl.bench.tasks import Network, Workload


class Side:
    """See :mod:`minidl.bench.sides`.

    Args:
        setting: "graph" (oneDNN's kernels) or "xla" (``jit_compile=True``).
        threads: within an operation; operations run one after the other.
    """

    def __init__(self, setting: str, threads: int) -> None:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import tensorflow

        self.tf: Any = tensorflow
        import keras

        self.keras: Any = keras
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        self.xla = setting == "xla"

    def prepare(self, workload: Workload) -> Job:
        """The workload in Keras: a training step.

        Raises:
            ValueError: another workload.
        """
        task = workload.task
        if not isinstance(task, Network):
            raise ValueError(f"{workload.name}: Keras is measured with networks only")
        images, labels = job.network_inputs(task, ARCHITECTURES[task.model]["in_channels"])
        model = with_weights(self.keras, ARCHITECTURES[task.model], task.size, weights.state(task.model))
        x = self.tf.constant(np.ascontiguousarray(images.transpose(0, 2, 3, 1)))
        if not task.train:
            forward = self.tf.function(lambda a: model(a, training=False), jit_compile=self.xla)
            return job.predict_job(lambda: forward(x).numpy().transpose(0, 3, 1, 2))
        model.compile(
            optimizer=self.keras.optimizers.Adam(job.LEARNING_RATE, epsilon=1e-8),
            loss=self.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=self.xla,
        )
        target = self.tf.constant(labels)
        return job.step_job(lambda: float(np.ravel(model.train_on_batch(x, target))[0]))


def with_weights(keras: Any, architecture: dict[str, Any], size: int, state: dict[str, Any]) -> Any:
    """The Keras network of a minidl architecture, with the weights of a minidl ``state_dict``.

    Args:
        keras: the module.
        architecture: what ``minidl.models.UNet`` was called with ("same" padding, no normalisation).
        size: height and width of the pictures.
        state: its ``state_dict()``.
    """
    layers = keras.layers
    depth, base = architecture["depth"], architecture["base"]
    widths = [base * 2**level for level in range(depth + architecture["bottleneck"])]
    named: dict[str, Any] = {}

    def layer(name: str, new: Any) -> Any:
        named[name] = new
        return new

    def block(name: str, width: int, x: Any) -> Any:
        for part in ("conv1", "conv2"):
            x = layer(f"{name}.{part}", layers.Conv2D(width, 3, padding="same", activation="relu"))(x)
        return x

    x = picture = keras.Input((size, size, architecture["in_channels"]))
    skips = []
    for level, width in enumerate(widths):
        x = block(f"down.{level}", width, layers.MaxPooling2D()(x) if level else x)
        skips.append(x)
    if len(skips) > depth:
        skips.pop()
    else:
        x = layers.MaxPooling2D()(x)
    for stage, width in enumerate(reversed(widths[:depth])):
        if architecture["up"] == "transpose":
            half = x.shape[-1] // 2
            x = layer(f"upsample.{stage}", layers.Conv2DTranspose(half, 2, strides=2))(x)
        else:
            x = layers.UpSampling2D()(x)
        x = block(f"decode.{stage}", width, layers.Concatenate()([skips.pop(), x]))
    logits = layer("head", layers.Conv2D(architecture["num_classes"], 1))(x)
    for name, made in named.items():
        # (out, in, h, w), transposed convolutions (in, out, h, w); Keras has the two channels last.
        made.set_weights([state[f"{name}.weight"].transpose(2, 3, 1, 0), state[f"{name}.bias"]])
    return keras.Model(picture, logits)
