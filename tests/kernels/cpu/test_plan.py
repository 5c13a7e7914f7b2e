"""The planner: the same choice always, among what can be done, with a reason."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels import threads
from minidl.kernels.cpu import conv2d, plan
from minidl.kernels.cpu.plan import Problem
from oracles import shifted_products

directions = st.sampled_from(plan.DIRECTIONS)
cases = st.one_of(shifted_products.dense(), shifted_products.general(), shifted_products.depthwise())


def problem_of(case, direction, itemsize=4):
    geometry = (case.kernel, case.stride, case.padding, case.dilation, case.groups)
    return Problem(direction, case.n, case.x_shape[1], *case.size, case.w_shape[0], *geometry, itemsize)


def typical(direction="forward", **changes):
    """A layer in the middle of a U-Net, changed."""
    geometry = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    return Problem(
        **{"direction": direction, "n": 4, "c": 64, "h": 64, "w": 64, "k": 64} | geometry | changes
    )


@given(case=cases, direction=directions, itemsize=st.sampled_from([4, 8]))
def test_the_choice_is_the_cheapest_of_those_that_can_do_it(case, direction, itemsize):
    problem = problem_of(case, direction, itemsize)
    chosen = plan.choose(problem)
    able = [a for a in plan.ALGORITHMS if plan.refusal(problem, a) is None]
    assert chosen.algorithm in able
    assert chosen.seconds == min(plan.cost(problem, a) for a in able)
    assert chosen.why
    assert math.isfinite(chosen.seconds)
    assert chosen.seconds > 0
    assert problem.out == case.out
    assert chosen.flops == 2 * case.n * math.prod(case.out) * math.prod(case.w_shape)
    numbers = (
        math.prod(case.x_shape) + case.n * case.w_shape[0] * math.prod(case.out) + math.prod(case.w_shape)
    )
    assert chosen.bytes == itemsize * numbers


@given(case=cases, direction=directions)
def test_every_algorithm_runs_when_asked_for_or_says_why_not(case, direction):
    problem = problem_of(case, direction)
    for algorithm in plan.ALGORITHMS:
        reason = plan.refusal(problem, algorithm)
        if reason is None:
            forced = plan.forced(problem, algorithm)
            assert forced.algorithm == algorithm
            assert forced.seconds == plan.cost(problem, algorithm)
            assert forced.why == "asked for"
        else:
            assert reason.startswith("it needs ")
            with pytest.raises(ValueError, match=algorithm) as caught:
                plan.forced(problem, algorithm)
            assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"kernel": (3, 5)}, "a 3x3 filter"),
        ({"stride": (1, 2)}, "stride 1"),
        ({"dilation": (2, 1)}, "dilation 1"),
        ({"groups": 2}, "groups=1"),
    ],
)
def test_what_winograd_needs(change, missing):
    for algorithm in ("winograd4", "winograd2"):
        assert plan.refusal(typical(), algorithm) is None
        assert plan.refusal(typical(**change), algorithm) == f"it needs {missing}"
    both = plan.refusal(typical(**change, w=63, padding=(0, 0)), "winograd4")
    assert both == f"it needs {missing}"


def test_several_reasons_are_all_given():
    reason = plan.refusal(typical(kernel=(2, 2), stride=(2, 2)), "winograd4")
    assert reason == "it needs a 3x3 filter and stride 1"


def test_what_depthwise_needs():
    assert plan.refusal(typical(groups=64), "depthwise") is None
    assert plan.refusal(typical(groups=64, k=128), "depthwise") is None
    assert plan.refusal(typical(groups=32), "depthwise") == "it needs as many groups as channels"


@pytest.mark.parametrize("algorithm", ["gemm", "winograd", "Direct", ""])
def test_an_unknown_algorithm(algorithm):
    with pytest.raises(ValueError, match="there is no algorithm") as caught:
        plan.forced(typical(), algorithm)
    assert repr(algorithm) in str(caught.value)
    for name in plan.ALGORITHMS:
        assert name in str(caught.value)


def test_the_number_of_threads_changes_no_choice():
    """Not what was remembered either."""
    problems = [
        typical(direction, c=c, k=k, h=h, w=h, kernel=(q, q), padding=(q // 2, q // 2))
        for direction in plan.DIRECTIONS
        for c in (1, 3, 17, 64, 512)
        for k in (1, 24, 256)
        for h in (4, 30, 128)
        for q in (1, 2, 3, 5)
    ]
    before, plans = threads.get_num_threads(), []
    try:
        for count in (1, 2, 7):
            threads.set_num_threads(count)
            plan.choose.cache_clear()
            plans.append([plan.choose(problem) for problem in problems])
    finally:
        threads.set_num_threads(before)
    assert plans[0] == plans[1] == plans[2]
    assert len({p.algorithm for p in plans[0]}) > 1  # the choice means something


CHOICES = """
import itertools
from minidl.kernels.cpu import plan

for d, c, k, q in itertools.product(plan.DIRECTIONS, (1, 20, 200), (5, 64), (1, 3, 5)):
    print(plan.choose(plan.Problem(d, 2, c, 33, 40, k, (q, q), (1, 1), (q // 2, q // 2), (1, 1), 1)))
"""


def test_another_process_chooses_the_same():
    """Whatever the order of its sets and dictionaries."""
    command = [sys.executable, "-c", CHOICES]
    seeds = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True, env=env) for env in seeds]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.count("Plan(") == 54


@pytest.mark.parametrize("direction", plan.DIRECTIONS)
@pytest.mark.parametrize("algorithm", plan.ALGORITHMS)
def test_the_cost_grows_with_the_problem(direction, algorithm):
    groups = {"groups": 64} if algorithm == "depthwise" else {}
    base = plan.cost(typical(direction, **groups), algorithm)
    larger = [{"n": 8}, {"h": 128}, {"w": 128}, {"k": 128}, {"n": 8, "h": 96, "w": 96}]
    if not groups:
        larger += [{"c": 128}, {"c": 512, "k": 512}]
    for change in larger:
        cost = plan.cost(typical(direction, **groups | change), algorithm)
        assert cost > 1.2 * base, change
    assert plan.cost(typical(direction, **groups, itemsize=8), algorithm) > 1.2 * base  # float64


@given(case=shifted_products.general(), direction=directions)
def test_twice_the_images_cost_no_less(case, direction):
    problem = problem_of(case, direction)
    for algorithm in ("direct", "im2col"):
        assert plan.cost(problem._replace(n=2 * problem.n), algorithm) >= plan.cost(problem, algorithm)


@given(case=cases)
def test_the_entry_takes_what_the_planner_says(case):
    x, weight, bias, g = case.arrays(np.float32)
    for direction in plan.DIRECTIONS:
        expected = plan.choose(problem_of(case, direction)).algorithm
        assert conv2d.chosen(direction, x.shape, 4, weight.shape, case.out, case.options) == expected
        planned = conv2d.planned(direction, x.shape, 4, weight.shape, case.options)
        assert planned.algorithm == expected
    assert (
        conv2d.chosen("forward", x.shape, 4, weight.shape, case.out, {**case.options, "algorithm": "im2col"})
        == "im2col"
    )
    with pytest.raises(ValueError, match="there is no algorithm 'fft'"):
        conv2d.forward(x, weight, bias, case.out, **case.options, algorithm="fft")
    with pytest.raises(ValueError, match="there is no algorithm 'fft'"):
        conv2d.backward_data(g, weight, x.shape, **case.options, algorithm="fft")
    with pytest.raises(ValueError, match="there is no algorithm 'fft'"):
        conv2d.backward_weight(g, x, weight.shape, **case.options, algorithm="fft")
