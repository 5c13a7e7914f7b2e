"""What two processes have in common: the same bits; and code for other CPUs than this one agrees."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minidl.kernels.cpu.vectors import VECTOR_BYTES

STEP = """
import hashlib
import numpy as np, minidl
from minidl import models, ops, optim

minidl.set_num_threads(2)
minidl.manual_seed(3)
rng = np.random.default_rng(3)
model = models.UNet(3, 4, base=32, depth=2, norm="NORM")
network, optimizer = (minidl.fuse(model) if FUSED else model), optim.AdamW(model.parameters())
x, labels = minidl.tensor(rng.normal(size=(5, 3, 48, 64)).astype(np.float32)), rng.integers(0, 4, (5, 48, 64))
digest = hashlib.sha256()
for _ in range(3):
    loss = ops.cross_entropy(network(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    for p in model.parameters():
        digest.update(p.data.tobytes() + p.grad.data.tobytes())
print(minidl.dispatch.backend(), digest.hexdigest())
"""

#: Kernels of every kind, at channels with and without a rest, in both dtypes, each beside the reference.
AGREES = """
import numpy as np, minidl
from minidl import nn, ops, optim
from minidl.kernels.cpu import vectors

minidl.use("numba")
rng = np.random.default_rng(0)
with minidl.dispatch.check_kernels():
    for dtype in (np.float32, np.float64):
        for channels in (3, 16, 37):
            x = minidl.tensor(rng.normal(size=(2, channels, 18, 22)).astype(dtype), requires_grad=True)
            def weight(k):
                return minidl.tensor(rng.normal(size=(21, channels, k, k)).astype(dtype), requires_grad=True)

            results = [
                ops.conv2d(x, weight(k), padding=p, stride=s, algorithm=a)
                for k, p, s, a in ((3, 1, 1, "winograd4"), (3, 1, 1, "winograd2"), (3, 1, 1, "direct"),
                                   (3, 1, 2, None), (1, 0, 1, None))
            ]
            norm = nn.BatchNorm2d(channels)
            for p in norm.parameters():
                p.data = p.data.astype(dtype)
            results += [norm(x).relu(), ops.max_pool2d(x, 2), ops.avg_pool2d(x, 3, 1)]
            results += [x.sigmoid(), x.softmax(1), ops.interpolate(x, scale_factor=2, mode="bilinear")]
            sum(((y * y).mean() for y in results), start=x.sum() * 0).backward()
            ops.cross_entropy(x, rng.integers(0, channels, (2, 18, 22))).backward()
            p = nn.Parameter(rng.normal(size=1000).astype(dtype))
            (p * p).sum().backward()
            optim.Adam([p]).step()
print(vectors.VECTOR_BYTES, vectors.REGISTERS)
"""


def run(code: str, **variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("MINIDL_VECTOR_BYTES", "MINIDL_BACKEND")}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, env={**environment, **variables}, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("fused", "norm"), [("False", "batch"), ("True", "none")])
def test_two_processes_compute_the_same_bits_at_the_same_number_of_threads(fused, norm):
    code = STEP.replace("FUSED", fused).replace("NORM", norm)
    first, second = run(code), run(code)
    assert first == second and first.startswith("numba ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "width", "registers"),
    [
        # Code for a CPU with AVX2, which any x86 with AVX-512 can run: what most machines get.
        pytest.param({"NUMBA_CPU_NAME": "haswell"}, 32, 16, id="AVX2"),
        # The width of NEON, though in the instructions of this machine: a stand-in, no test on ARM.
        pytest.param({"MINIDL_VECTOR_BYTES": "16"}, 16, 32, id="the width of NEON"),
    ],
)
def test_other_widths_agree_with_the_reference(variables, width, registers):
    if VECTOR_BYTES < width:
        pytest.skip(f"vectors of {width} bytes are for CPUs that have them")
    assert run(AGREES, **variables) == f"{width} {registers}"
