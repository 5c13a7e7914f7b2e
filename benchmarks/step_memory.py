"""Peak memory of one training step of the documents' U-Net: forward, cross-entropy, backward, Adam.

    python benchmarks/step_memory.py [--peer torch] [--recompute] [--batch 16] [--size 128] [--steps 2]
                                     [--backend numpy] [--json FILE]

Each library runs in a process of its own. The operating system keeps the largest resident memory that a
process ever had; it is read once when the network and the batch are there (with everything that was
imported) and again after the steps. The difference is what the steps needed. Two steps by default: from the
second on Adam's moments are there during the forward too.

``--recompute`` adds a row with activation checkpointing: each stage of the network keeps its inputs alone and
is computed again in the backward (``UNet(recompute=True)``).

For scale the table also has what the method itself asks for: the weights with their gradients and Adam's
two moments, and the input of every 3x3 convolution, which is kept for the gradient of its weight.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

CLASSES = 2
MIB = 2**20


def peak() -> int:
    """Largest resident memory of this process so far, in bytes."""
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # bytes there, KiB elsewhere


def measure_minidl(
    batch: int, size: int, steps: int, backend: str, recompute: bool = False
) -> dict[str, int]:
    """Before and after ``steps`` steps, in this process."""
    import numpy as np

    import minidl

    minidl.use(backend)
    minidl.manual_seed(0)
    model = minidl.models.unet_documents(CLASSES)
    model.recompute = recompute
    optimizer = minidl.optim.Adam(model.parameters())
    rng = np.random.default_rng(0)
    images = minidl.Tensor(rng.random((batch, 3, size, size), np.float32))
    target = minidl.Tensor(rng.integers(0, CLASSES, (batch, size, size)))
    before = peak()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = minidl.ops.cross_entropy(model(images), target)
        loss.backward()
        optimizer.step()
    return {"before": before, "after": peak()}


def measure_torch(batch: int, size: int, steps: int, backend: str) -> dict[str, int]:
    """The same in torch, on the CPU."""
    import torch
    from torch.nn import functional as F

    from benchmarks.peers.torch_unet import TorchUNet

    model = TorchUNet(3, CLASSES, base=32, depth=4, bottleneck=False)
    optimizer = torch.optim.Adam(model.parameters())
    images = torch.rand(batch, 3, size, size)
    target = torch.randint(0, CLASSES, (batch, size, size))
    before = peak()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), target)
        loss.backward()
        optimizer.step()
    return {"before": before, "after": peak()}


RECOMPUTED = "minidl, stages recomputed"
MEASURES = {
    "minidl": measure_minidl,
    RECOMPUTED: partial(measure_minidl, recompute=True),
    "torch": measure_torch,
}


def least(batch: int, size: int) -> dict[str, int]:
    """Bytes that are always held: four copies of the weights, and the convolutions' inputs."""
    down = ((3, 32, 1), (32, 64, 2), (64, 128, 4), (128, 256, 8))  # channels in and out, shrunk by
    up = ((512, 256, 8), (384, 128, 4), (192, 64, 2), (96, 32, 1))
    weights = sum((9 * a + 1) * b + (9 * b + 1) * b for a, b, _ in down + up) + 33 * CLASSES
    inputs = sum((a + b) * (size // shrunk) ** 2 for a, b, shrunk in down + up)
    return {
        "weights, gradients, Adam's moments": 4 * 4 * weights,
        "inputs of the convolutions": 4 * batch * inputs,
    }


def in_own_process(library: str, arguments: argparse.Namespace) -> dict[str, int]:
    """Run this file again for one library."""
    command = [sys.executable, __file__, "--measure", library, "--backend", arguments.backend]
    command += [f"--{name}={getattr(arguments, name)}" for name in ("batch", "size", "steps")]
    root = str(Path(__file__).resolve().parent.parent)  # a clone that was not installed
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, int] = json.loads(done.stdout)
    return result


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions(libraries: list[str]) -> dict[str, str]:
    """Of the libraries and of NumPy; a clone that was not installed says so itself."""
    found = {}
    for name in ["numpy", *libraries]:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed (run from a clone)"
    return found


def report(results: dict[str, dict[str, int]], floor: dict[str, int], arguments: argparse.Namespace) -> None:
    """Print the table."""
    shape = f"{arguments.batch}x3x{arguments.size}x{arguments.size}"
    print(f"peak memory of {arguments.steps} steps of the documents' U-Net on {shape}, Adam, float32")
    print("MiB of resident memory\n")
    print(f"{'':36}{'before':>10}{'the steps':>12}{'in all':>10}")
    for name, row in results.items():
        before, after = row["before"] / MIB, row["after"] / MIB
        print(f"{name:36}{before:10,.0f}{after - before:12,.0f}{after:10,.0f}")
    print()
    for name, size in floor.items():
        print(f"{name:46}{size / MIB:12,.0f}")
    if "torch" in results:
        ours, theirs = (results[k]["after"] - results[k]["before"] for k in ("minidl", "torch"))
        print(f"\nthe steps, minidl / torch: {ours / theirs:.2f}")
    if RECOMPUTED in results:
        plain, recomputed = (results[k]["after"] - results[k]["before"] for k in ("minidl", RECOMPUTED))
        print(f"the steps, recomputed / plain: {recomputed / plain:.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description="peak memory of one training step")
    parser.add_argument("--peer", choices=["torch"], action="append", default=[], help="measure it too")
    parser.add_argument("--recompute", action="store_true", help="with activation checkpointing too")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=128, help="height and width, a multiple of 16")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--backend", default="numpy", help="minidl's kernels")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--measure", choices=sorted(MEASURES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if importlib.util.find_spec("resource") is None:
        parser.error("this system does not tell a process's peak memory (no module resource in Python)")
    if arguments.measure:
        measure = MEASURES[arguments.measure]
        print(json.dumps(measure(arguments.batch, arguments.size, arguments.steps, arguments.backend)))
        return 0

    libraries = ["minidl", *dict.fromkeys(arguments.peer)]
    runs = ["minidl", *([RECOMPUTED] if arguments.recompute else []), *libraries[1:]]
    for name in arguments.peer:
        if importlib.util.find_spec(name) is None:
            parser.error(f"--peer {name}: {name} is not installed; pip install '.[bench]'")
    results = {name: in_own_process(name, arguments) for name in runs}
    floor = least(arguments.batch, arguments.size)
    record = {
        "batch": arguments.batch,
        "size": arguments.size,
        "steps": arguments.steps,
        "backend": arguments.backend,
        "bytes": {name: {**row, "steps": row["after"] - row["before"]} for name, row in results.items()},
        "least_bytes": floor,
        "machine": machine(),
        "versions": versions(libraries),
    }
    text = json.dumps(record, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    report(results, floor, arguments)
    print("\n" + text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
