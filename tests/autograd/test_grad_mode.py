"""Blocks, functions, generators and coroutines under no_grad, enable_grad, anomaly mode and kernel checks."""

from __future__ import annotations

import asyncio
import contextvars
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


def test_a_block_in_a_generator_that_is_closed_from_another_context(switch):
    """As an event loop and the garbage collector do: nothing is raised, and both contexts are right after."""
    make, is_on = switch

    def generator():
        with make():
            yield is_on()

    here, there = contextvars.copy_context(), contextvars.copy_context()
    made = generator()
    assert here.run(next, made) is True
    assert there.run(made.close) is None
    assert not here.run(is_on) and not there.run(is_on) and not is_on()


def test_a_closed_generator_leaves_the_blocks_of_the_context_that_closes_it(switch):
    make, is_on = switch

    def generator():
        with make():
            yield

    made = generator()
    contextvars.copy_context().run(next, made)
    with make():
        made.close()
        assert is_on()
    assert not is_on()


def test_a_generator_left_to_the_garbage_collector_of_another_thread():
    def generator():
        with no_grad():
            yield

    kept = [generator()]
    next(kept[0])
    assert not is_grad_enabled()
    thread = threading.Thread(target=kept.clear)  # an exception in a finaliser would be an error here
    thread.start()
    thread.join()
    assert is_grad_enabled()


def test_blocks_that_end_out_of_order(switch):
    """A generator's inner block outlives the block around the call that began it."""
    make, is_on = switch

    def generator():
        with make(), make():
            yield

    with make():
        made = generator()
        next(made)
    assert is_on()  # the suspended generator's, as in torch
    made.close()
    assert not is_on()


def test_an_asynchronous_generator_is_closed_by_the_loop():
    async def generator():
        with no_grad():
            yield 1
            yield 2

    async def main():
        async for _ in generator():
            break
        await asyncio.sleep(0)
        return is_grad_enabled()

    asyncio.run(main())
    assert is_grad_enabled()


def test_one_object_is_entered_in_two_threads():
    shared, log = no_grad(), []
    entered, left = threading.Event(), threading.Event()

    def other():
        with shared:
            entered.set()
            left.wait(30)
            log.append(is_grad_enabled())
        log.append(is_grad_enabled())

    with shared:
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait(30)
    log.append(is_grad_enabled())
    left.set()
    thread.join()
    assert log == [True, False, True]
