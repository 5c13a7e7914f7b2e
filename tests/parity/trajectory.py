"""The documents' U-Net in torch, and its trajectories beside minidl's.

``PYTHONPATH=.:tests python -m parity.trajectory`` (``make fixtures``) writes torch's record to
tests/fixtures/trajectory.npz and the deviations to docs/proof/trajectory.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import minidl
from oracles import trajectory
from oracles.trajectory import IGNORE, OPTIMIZERS, STEPS, Step

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "proof" / "trajectory.json"


def torch_unet(pairs: list[Any], x: torch.Tensor) -> torch.Tensor:
    """The documents' program, line by line: `pairs` are the (weight, bias) of its 17 convolutions."""
    remaining = iter(pairs)

    def conv(x: torch.Tensor) -> torch.Tensor:
        weight, bias = next(remaining)
        return F.relu(F.conv2d(x, weight, bias, padding="same"))

    skips = []
    for _ in range(4):
        x = conv(conv(x))
        skips.append(x)
        x = F.max_pool2d(x, 2)
    for skip in reversed(skips):
        x = F.interpolate(x, scale_factor=2)  # UpSampling2D repeats pixels
        x = conv(conv(torch.cat([skip, x], 1)))
    weight, bias = next(remaining)
    assert not list(remaining)
    return F.conv2d(x, weight, bias)


def pairs_of(parameters: list[Any]) -> list[Any]:
    """(weight, bias) of every convolution, in the order in which the documents' program makes them."""
    return list(zip(parameters[0::2], parameters[1::2], strict=True))


def torch_steps(kind: str) -> Iterator[Step]:
    """torch's trajectory: see `oracles.trajectory`."""
    shapes = [p.shape for p in minidl.models.unet_documents(2).parameters()]
    parameters = [torch.tensor(w, requires_grad=True) for w in trajectory.initial_weights(shapes)]
    optimizer = OPTIMIZERS[kind](torch.optim, parameters)
    x, target = (torch.tensor(array) for array in trajectory.pictures())
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(torch_unet(pairs_of(parameters), x), target, ignore_index=IGNORE)
        loss.backward()
        optimizer.step()
        gradients = [p.grad.numpy() for p in parameters if p.grad is not None]
        yield Step(loss.item(), gradients, [p.detach().numpy() for p in parameters])


def compare(kind: str) -> tuple[dict[str, float], dict[str, np.ndarray[Any, Any]]]:
    """The greatest deviations of minidl from torch over all steps and parameters; and torch's record.

    ``gradients`` and ``weights`` are relative and in norm, parameter by parameter; the ones with
    ``elementwise`` are the greatest single element's, relative to the greatest element of its array.
    """
    names = ("losses", "gradients", "weights", "gradients elementwise", "weights elementwise")
    worst = dict.fromkeys(names, 0.0)

    def note(name: str, value: float) -> None:
        worst[name] = max(worst[name], value)

    def both() -> Iterator[Step]:
        for ours, theirs in zip(trajectory.minidl_steps(kind), torch_steps(kind), strict=True):
            note("losses", abs(ours.loss / theirs.loss - 1))
            for name in ("gradients", "weights"):
                for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
                    assert a.shape == b.shape and a.dtype == b.dtype == np.float64
                    note(name, float(np.linalg.norm(a - b) / np.linalg.norm(b)))
                    note(f"{name} elementwise", float(np.abs(a - b).max() / np.abs(b).max()))
            yield theirs

    kept = trajectory.record(both())
    return worst, kept


def main() -> None:
    """Write the record and the report."""
    report: dict[str, Any] = {
        "command": "make fixtures",
        "what": "documents' U-Net (3,716,898 parameters), float64, 20 steps, minidl beside torch: greatest"
        " relative deviations over all steps and parameters",
        "torch": torch.__version__.partition("+")[0],
        "tolerance": trajectory.TOLERANCE,
    }
    arrays = {}
    for kind in OPTIMIZERS:
        worst, kept = compare(kind)
        losses = kept["losses"].tolist()
        report[kind] = {"first loss": losses[0], "last loss": losses[-1], "deviations": worst}
        arrays.update({f"{kind}.{name}": array for name, array in kept.items()})
        print(kind, json.dumps(report[kind]))
    np.savez(trajectory.FIXTURE, **arrays)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
