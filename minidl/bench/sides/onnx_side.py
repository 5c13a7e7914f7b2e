"""ONNX Runtime: the network written down as an ONNX graph, and run."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.bench.costs import ARCHITECTURES
from minidl.bench.sides import job, weights
from minidl.bench.sides.job import Job
from minidl.bench.tasks import Network, Workload

#: The version of ONNX's operators in which the graph is written; old, so that every runtime knows it.
OPSET, IR_VERSION = 13, 8


class Side:
    """See :mod:`minidl.bench.sides`.

    Args:
        setting: not used.
        threads: within an operation.
    """

    def __init__(self, setting: str, threads: int) -> None:
        import onnxruntime

        self.runtime: Any = onnxruntime
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        # Its threads spin while a run lasts, which is fast, and stop with it, so that the others have peace.
        self.options.add_session_config_entry("session.force_spinning_stop", "1")

    def prepare(self, workload: Workload) -> Job:
        """The workload in ONNX Runtime: a prediction.

        Raises:
            ValueError: another workload.
        """
        task = workload.task
        if not isinstance(task, Network) or task.train:
            raise ValueError(f"{workload.name}: ONNX Runtime predicts only")
        architecture = ARCHITECTURES[task.model]
        images, _ = job.network_inputs(task, architecture["in_channels"])
        graph = graph_bytes(architecture, weights.state(task.model), images.shape)
        session = self.runtime.InferenceSession(graph, self.options, providers=["CPUExecutionProvider"])
        return job.predict_job(lambda: session.run(None, {"picture": images})[0])


class _Graph:
    """Collects nodes; each gives one value, named after it."""

    def __init__(self, helper: Any) -> None:
        self.helper = helper
        self.nodes: list[Any] = []

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def convolution(self, name: str, x: str, kernel: int) -> str:
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        return self.node("Conv", inputs, kernel_shape=[kernel, kernel], pads=[kernel // 2] * 4)

    def block(self, name: str, x: str) -> str:
        for part in ("conv1", "conv2"):
            x = self.node("Relu", [self.convolution(f"{name}.{part}", x, 3)])
        return x

    def pool(self, x: str) -> str:
        return self.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])

    def up(self, name: str, x: str, learned: bool) -> str:
        if learned:
            inputs = [x, f"{name}.weight", f"{name}.bias"]
            return self.node("ConvTranspose", inputs, kernel_shape=[2, 2], strides=[2, 2])
        modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.node("Resize", [x, "", "twice"], mode="nearest", **modes)


def graph_bytes(architecture: dict[str, Any], state: dict[str, Any], shape: tuple[int, ...]) -> bytes:
    """The network of a minidl architecture as a serialised ONNX model.

    Args:
        architecture: what ``minidl.models.UNet`` was called with ("same" padding, no normalisation).
        state: its ``state_dict()``.
        shape: of the pictures, (N, C, H, W).
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = _Graph(helper)
    depth, bottleneck = architecture["depth"], bool(architecture["bottleneck"])
    x, skips = "picture", []
    for level in range(depth + bottleneck):
        x = graph.block(f"down.{level}", graph.pool(x) if level else x)
        skips.append(x)
    if bottleneck:
        skips.pop()
    else:
        x = graph.pool(x)
    for stage in range(depth):
        x = graph.up(f"upsample.{stage}", x, architecture["up"] == "transpose")
        x = graph.block(f"decode.{stage}", graph.node("Concat", [skips.pop(), x], axis=1))
    x = graph.convolution("head", x, 1)
    constants = {**state, "twice": np.array([1, 1, 2, 2], np.float32)}
    n, _, h, w = shape
    out = [n, architecture["num_classes"], h, w]
    made = helper.make_graph(
        graph.nodes,
        "unet",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised
