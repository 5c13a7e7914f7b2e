"""The one source of random numbers for initialisation and dropout.

A counter-based generator (Philox 4x64, Salmon et al. 2011): the n-th number is a function of the seed and n
alone, so its whole state is a few integers, which checkpoints store as text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Made when first asked for: importing numpy.random would take a fifth of the time of `import minidl`.
_generator: np.random.Generator | None = None


def manual_seed(seed: int) -> None:
    """Start the random numbers of initialisation and dropout anew from ``seed`` (a non-negative integer).

    >>> import minidl
    >>> minidl.manual_seed(7); a = minidl.random.generator().random()
    >>> minidl.manual_seed(7); a == minidl.random.generator().random()
    True
    """
    global _generator
    _generator = np.random.Generator(np.random.Philox(seed))


def generator() -> np.random.Generator:
    """The process-wide generator; without :func:`manual_seed` it starts from the system's entropy."""
    global _generator
    if _generator is None:
        _generator = np.random.Generator(np.random.Philox())
    return _generator


def get_state() -> dict[str, Any]:
    """Where the generator stands, as JSON-able values: see :func:`set_state`."""
    return {key: _to_lists(value) for key, value in generator().bit_generator.state.items()}


def set_state(state: dict[str, Any]) -> None:
    """Go on exactly where :func:`get_state` was called.

    Raises:
        ValueError: the state is not one of a Philox generator. The generator then stays where it was.

    >>> import minidl
    >>> here = minidl.random.get_state(); a = minidl.random.generator().random()
    >>> minidl.random.set_state(here); a == minidl.random.generator().random()
    True
    """
    # On a generator of its own, which takes the place of the old one only if everything fits.
    philox = np.random.Philox()
    try:
        # The buffer holds the 4 numbers of the last draw; those before buffer_pos have been given out.
        if not 0 <= state["buffer_pos"] <= 4:
            raise ValueError(f"buffer_pos is {state['buffer_pos']}, not in 0..4")
        inner = {
            name: _integers(state["state"][name], name, count) for name, count in (("counter", 4), ("key", 2))
        }
        whole: Any = {**state, "state": inner, "buffer": _integers(state["buffer"], "buffer", 4)}
        philox.state = whole
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"set_state: not a state of the random generator ({error})") from error
    generator().bit_generator.state = philox.state


def _integers(values: Any, name: str, count: int) -> np.ndarray[Any, Any]:
    array = np.array(values, np.uint64)
    if array.shape != (count,):
        raise ValueError(f"{name} must be {count} integers, got {values!r}")
    return array


def _to_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _to_lists(v) for k, v in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
