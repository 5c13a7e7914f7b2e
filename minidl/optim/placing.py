"""Parameters of one group on several devices: whose kernels move which."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minidl._device import CPU, device_of

Array = np.ndarray[Any, Any]
#: Weights, gradient and state of a parameter.
Row = tuple[Array, Array, dict[str, Any]]


def by_device(
    optimizer: str, moving: list[tuple[int, Any]], rows: list[Row], alike: tuple[str, ...] = ()
) -> Iterable[list[Row]]:
    """The rows of each device.

    Args:
        optimizer: its name, for the message.
        moving: the parameters that are to move, with their positions.
        rows: one for each of them.
        alike: what in the state has the parameter's shape and dtype.

    Raises:
        RuntimeError: a gradient or a state has another shape or dtype than its parameter (whose ``.data`` was
            replaced); or a gradient or a state lives on another device than its parameter.
    """
    if not rows:
        return ()
    for (index, _), (w, g, state) in zip(moving, rows, strict=True):
        if g.shape != w.shape or g.dtype != w.dtype:
            raise RuntimeError(_of_another_form(optimizer, index, w, "gradient", g))
        for name in alike:
            array = state.get(name)
            if array is not None and (array.shape != w.shape or array.dtype != w.dtype):
                raise RuntimeError(_of_another_form(optimizer, index, w, name, array))
    if _on_host(rows):  # nearly always
        return (rows,)
    places: dict[Any, list[Row]] = {}
    for (index, _), (w, g, state) in zip(moving, rows, strict=True):
        place = _place(w)
        for what, array in (("gradient", g), *state.items()):
            if hasattr(array, "strides") and not isinstance(array, np.generic) and _place(array) != place:
                raise RuntimeError(_elsewhere(optimizer, index, w, what, array))
        places.setdefault(place, []).append((w, g, state))
    return places.values()


def _on_host(rows: list[Row]) -> bool:
    """Whether all is NumPy's. (Loops, as every step comes by: they take half of an expression's time.)"""
    for w, g, state in rows:
        if type(w) is not np.ndarray or type(g) is not np.ndarray:
            return False
        for value in state.values():
            if type(value) is not np.ndarray and type(value) is not int:
                return False
    return True


def _place(array: Any) -> Any:
    """What tells devices apart; with hundreds of arrays in a step, ``device_of`` would take too long."""
    return CPU if isinstance(array, np.ndarray) else (type(array), array.device.id)


def _of_another_form(optimizer: str, index: int, w: Array, what: str, array: Array) -> str:
    remedy = "call backward() again" if what == "gradient" else "make a new optimizer"
    return (
        f"{optimizer}: parameter {index} is {w.dtype} of shape {tuple(w.shape)}, but its {what} is "
        f"{array.dtype} of shape {tuple(array.shape)}: its .data was replaced since; {remedy}"
    )


def _elsewhere(optimizer: str, index: int, w: Array, what: str, array: Array) -> str:
    remedy = (
        "have it computed again, with zero_grad() and backward()"
        if what == "gradient"
        else "move a model before its optimizer is made, or let the state follow it with "
        "optimizer.load_state_dict(optimizer.state_dict())"
    )
    return (
        f"{optimizer}: parameter {index} (shape {tuple(w.shape)}) is on {device_of(w)}, but its {what} is on "
        f"{device_of(array)}; {remedy}"
    )
