"""The profile of a training step adds up."""

from __future__ import annotations

import time

import numpy as np
import pytest

import minidl
from minidl.autograd import Function
from minidl.autograd.node import Node
from minidl.bench.profile import Part, Stopwatch, profile, watching, winograd_fits
from minidl.optim.optimizer import Optimizer


def test_the_parts_add_up_to_the_step():
    seams = (Function.__dict__["apply"], Node.run_backward, Optimizer.step)
    said = profile("train-documents", quick=True)
    assert (Function.__dict__["apply"], Node.run_backward, Optimizer.step) == seams
    assert sum(part.seconds for part in said.parts) == pytest.approx(said.seconds, rel=0.5)
    assert [p.seconds for p in said.parts] == sorted((p.seconds for p in said.parts), reverse=True)
    names = {(p.name, p.direction) for p in said.parts}
    assert ("Adam step", "") in names and ("max_pool2d", "backward") in names
    convolutions = [p for p in said.parts if "conv2d" in p.name]
    assert any("3 → 32 at 32x32" in p.name for p in convolutions)
    forward = sum(p.flops for p in convolutions if p.direction == "forward")
    backward = sum(p.flops for p in convolutions if p.direction == "backward")
    assert forward < backward < 2 * forward, "the first layer's input needs no gradient"
    text = said.text()
    assert "| all | 100% |" in text and "times its bound" in text
    assert said.to_dict()["parts"][0]["calls"] >= 1


def test_what_is_called_inside_is_not_counted_twice():
    watch = Stopwatch()

    def outer() -> None:
        time.sleep(0.01)
        watch.call("inner", "forward", lambda: time.sleep(0.03))

    began = time.perf_counter()
    watch.call("outer", "forward", outer)
    spent = time.perf_counter() - began
    inner, whole = watch.part("inner", "forward").seconds, watch.part("outer", "forward").seconds
    assert inner >= 0.03 and whole >= 0.01 and inner + whole <= spent


def test_flops_and_bytes_of_one_operation():
    x = minidl.tensor(np.ones((1, 2, 8, 8), "f"), requires_grad=True)
    w = minidl.tensor(np.ones((4, 2, 3, 3), "f"), requires_grad=True)
    watch = Stopwatch()
    with watching(watch):
        minidl.ops.conv2d(x, w, padding=1).sum().backward()
    name = "conv2d 2 → 4 at 8x8"
    there, back = watch.part(name, "forward"), watch.part(name, "backward")
    flops = 2 * 4 * 64 * 2 * 9
    assert (there.flops, there.products, back.flops) == (flops, flops / 4, 2 * flops)
    assert there.bytes == 4 * (128 + 72 + 256)
    assert back.bytes == 4 * (256 + 128 + 72 + 128 + 72)


def test_where_winograd_fits():
    x, w = np.zeros((1, 4, 9, 9)), np.zeros((4, 4, 3, 3))
    assert winograd_fits("conv2d", [x, w], {"stride": (1, 1)})
    assert winograd_fits("fused_conv2d", [x, w], {"dilation": 1})
    assert not winograd_fits("conv2d", [x, w], {"stride": (2, 2)})
    assert not winograd_fits("conv2d", [x, w], {"groups": 2})
    assert not winograd_fits("conv2d", [x, w[..., :1, :1]], {})
    assert not winograd_fits("max_pool2d", [x, w], {})


def test_the_bound():
    rates = {"sgemm": 100.0, "copy": 10.0}
    assert Part("a", "forward", products=300, bytes=10).bound(rates) == 3.0
    assert Part("a", "forward", products=300, bytes=50).bound(rates) == 5.0
