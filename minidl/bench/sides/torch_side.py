"""PyTorch: eager in NCHW or channels_last, or compiled."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minidl.bench.costs import ARCHITECTURES
from minidl.bench.sides import job, weights
from minidl.bench.sides.job import Job
from minidl.bench.sides.torch_unet import with_weights
from minidl.bench.tasks import Array, Network, Op, Update, Workload


class Side:
    """See :mod:`minidl.bench.sides`.

    Args:
        setting: "nchw", "channels_last", "compile" (with channels_last), or "fused" (an optimizer's).
        threads: for ``torch.set_num_threads``.
    """

    def __init__(self, setting: str, threads: int) -> None:
        import torch

        self.torch: Any = torch
        torch.set_num_threads(threads)
        self.setting = setting
        self.format = (
            torch.channels_last if setting in ("channels_last", "compile") else torch.contiguous_format
        )
        warnings.simplefilter("ignore")  # of the compiler's, about itself

    def prepare(self, workload: Workload) -> Job:
        """The workload in PyTorch."""
        task = workload.task
        if isinstance(task, Network):
            return self._step(task) if task.train else self._prediction(task)
        return self._update(task) if isinstance(task, Update) else self._op(task)

    def _model(self, name: str) -> Any:
        model = with_weights(ARCHITECTURES[name], weights.state(name)).to(memory_format=self.format)
        return self.torch.compile(model) if self.setting == "compile" else model

    def _images(self, task: Network) -> tuple[Any, Any]:
        channels = ARCHITECTURES[task.model]["in_channels"]
        images, labels = job.network_inputs(task, channels)
        x = self.torch.from_numpy(images).contiguous(memory_format=self.format)
        return x, self.torch.from_numpy(labels)

    def _step(self, task: Network) -> Job:
        model = self._model(task.model)
        # fused: torch's fastest Adam on a CPU.
        optimizer = self.torch.optim.Adam(model.parameters(), job.LEARNING_RATE, fused=True)
        x, labels = self._images(task)
        cross_entropy = self.torch.nn.functional.cross_entropy

        def step() -> float:
            optimizer.zero_grad()
            loss = cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return job.step_job(step)

    def _prediction(self, task: Network) -> Job:
        model = self._model(task.model).eval()
        x, _ = self._images(task)

        def predict() -> Any:
            with self.torch.inference_mode():
                return model(x).numpy()

        return job.predict_job(predict)

    def _tensor(self, value: Any, spec: Array) -> Any:
        tensor = self.torch.from_numpy(value).clone()  # in PyTorch's own, aligned memory
        if tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=self.format)
        return tensor.requires_grad_(spec.grad)

    def _op(self, op: Op) -> Job:
        functional = self.torch.nn.functional
        function = getattr(functional, op.function, None) or getattr(self.torch, op.function)
        positional, named = job.op_inputs(op)
        values = [*positional, *named.values()]
        tensors = [self._tensor(value, spec) for value, spec in zip(values, op.arrays(), strict=True)]
        leaves = [t for t in tensors if t.requires_grad]
        count = len(positional)
        arguments = [tensors[:count]] if op.listed else tensors[:count]
        keywords = {**dict(zip(named, tensors[count:], strict=True)), **op.options}
        first = function(*arguments, **keywords)
        # In the order in which the output came, as the next operation's backward would hand it back.
        g = self.torch.empty_like(first, requires_grad=False)
        g.copy_(self.torch.from_numpy(job.cotangent(tuple(first.shape))))
        return job.op_job(
            op,
            lambda: function(*arguments, **keywords),
            leaves,
            g,
            lambda tensor: tensor.detach().numpy(),
        )

    def _update(self, task: Update) -> Job:
        parameters = [
            self.torch.from_numpy(array).clone().requires_grad_()
            for array in weights.state("documents").values()
        ]
        options = {**task.options, **({"fused": True} if self.setting == "fused" else {})}
        options.setdefault("lr", 1e-3)
        optimizer = getattr(self.torch.optim, task.optimizer)(parameters, **options)
        for seed, p in enumerate(parameters):
            gradient = np.random.default_rng(seed).standard_normal(tuple(p.shape), dtype=np.float32)
            p.grad = self.torch.from_numpy(gradient).clone()

        def run() -> job.Parts:
            return {"step": job.timed(optimizer.step)[0]}

        return Job(run, lambda: [job.sketch(p.detach().numpy()) for p in parameters])
