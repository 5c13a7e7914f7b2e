"""Blocks, functions, generators and coroutines under no_grad, enable_grad, anomaly mode and kernel checks."""

from __future__ import annotations

import asyncio
import threading

import pytest

import minidl
from minidl import dispatch
from minidl.autograd import anomaly, detect_anomaly, enable_grad, is_grad_enabled, no_grad

SWITCHES = {
    "no_grad": (no_grad, lambda: not is_grad_enabled()),
    "detect_anomaly": (detect_anomaly, anomaly.is_enabled),
    "check_kernels": (dispatch.check_kernels, dispatch.checks_kernels),
}


@pytest.fixture(params=list(SWITCHES))
def switch(request):
    """(what makes the decorator, whether it is in force)."""
    return SWITCHES[request.param]


def test_a_function(switch):
    make, is_on = switch

    @make()
    def function(n):
        return [is_on(), function(n - 1) if n else None]

    assert function(1) == [True, [True, None]]
    assert not is_on()


def test_a_generator_has_it_whenever_its_own_code_runs(switch):
    make, is_on = switch
    log = []

    @make()
    def generator():
        """Its text."""
        try:
            log.append(("begin", is_on()))
            got = yield 1
            log.append((got, is_on()))
            try:
                yield 2
            except ZeroDivisionError:
                log.append(("thrown", is_on()))
            yield 3
        finally:
            log.append(("end", is_on()))
        return "result"

    def outer():
        result = yield from generator()
        log.append((result, is_on()))

    walk = outer()
    assert next(walk) == 1 and not is_on()
    assert walk.send("sent") == 2 and not is_on()
    assert walk.throw(ZeroDivisionError) == 3 and not is_on()
    assert list(walk) == []
    expected = ["begin", "sent", "thrown", "end"]
    assert log == [*((name, True) for name in expected), ("result", False)]
    assert generator.__doc__ == "Its text."

    log.clear()
    walk = generator()
    next(walk)
    walk.close()
    assert log == [("begin", True), ("end", True)] and not is_on()


def test_two_generators_in_turns(switch):
    make, is_on = switch

    @make()
    def inner():
        for _ in range(3):
            yield is_on()

    @enable_grad()
    def plain():
        for _ in range(3):
            yield is_grad_enabled()

    assert list(zip(inner(), plain(), strict=True)) == [(True, True)] * 3


def test_a_coroutine_and_others_beside_it(switch):
    make, is_on = switch
    seen = []

    @make()
    async def inside():
        for _ in range(3):
            seen.append(("inside", is_on()))
            await asyncio.sleep(0)

    async def beside():
        for _ in range(3):
            seen.append(("beside", is_on()))
            await asyncio.sleep(0)

    async def both():
        await asyncio.gather(inside(), beside())

    asyncio.run(both())
    assert sorted(seen) == [("beside", False)] * 3 + [("inside", True)] * 3


def test_an_asynchronous_generator_is_refused(switch):
    with pytest.raises(TypeError, match=r"asynchronous generator batches.*with block"):

        @switch[0]()
        async def batches():
            yield 1


def test_without_brackets():
    @no_grad
    def function():
        return is_grad_enabled()

    @no_grad
    def generator():
        yield is_grad_enabled()

    @enable_grad
    def enabled():
        return is_grad_enabled()

    assert (function(), list(generator()), is_grad_enabled()) == (False, [False], True)
    with no_grad():
        assert enabled() is True


def test_a_decorated_function_in_several_threads():
    meeting, seen = threading.Barrier(2, timeout=20), []

    @no_grad()
    def function():
        meeting.wait()
        seen.append(is_grad_enabled())
        meeting.wait()

    threads = [threading.Thread(target=function) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert seen == [False, False] and is_grad_enabled()


def test_nothing_is_recorded_in_a_generator_and_all_outside():
    """The fault that was: the body of a generator ran with gradients recorded."""
    w = minidl.ones(2, requires_grad=True)

    @no_grad()
    def predictions(batches):
        for batch in batches:
            yield batch * w

    inside = [(y.requires_grad, (y * w).requires_grad) for y in predictions([minidl.ones(2)] * 2)]
    assert inside == [(False, True)] * 2
