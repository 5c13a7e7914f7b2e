"""The environment variables that kernels heed, and what may be in them. A wrong value is told."""

from __future__ import annotations

import os

#: Bytes of a vector: those of NEON and SSE, of AVX2, of AVX-512.
VECTORS = (16, 32, 64)


def vector_bytes() -> int | None:
    """``MINIDL_VECTOR_BYTES``; None where it is not set.

    Raises:
        ValueError: no processor has such vectors.
    """
    given = os.environ.get("MINIDL_VECTOR_BYTES")
    if not given:
        return None
    if given not in map(str, VECTORS):
        raise ValueError(f"MINIDL_VECTOR_BYTES: {given[:40]!r} does not do; give 16, 32 or 64, or unset it")
    return int(given)


def simulator() -> tuple[bool, int]:
    """Whether the simulated GPU checks (``MINIDL_SIM``), and its order of threads (``MINIDL_SIM_ORDER``).

    Raises:
        ValueError: they say something else.
    """
    name, order = os.environ.get("MINIDL_SIM") or "fast", os.environ.get("MINIDL_SIM_ORDER") or "0"
    if name not in ("fast", "check"):
        raise ValueError(f"MINIDL_SIM: {name[:40]!r} does not do; give fast or check")
    if not (order.isascii() and order.isdecimal() and len(order) < 19):
        raise ValueError(
            f"MINIDL_SIM_ORDER: {order[:40]!r} does not do; give 0 (ascending), 1 (descending) or a seed from"
            " 2"
        )
    return name == "check", int(order)


def check() -> None:
    """Look at all of them, before any work is done.

    Raises:
        ValueError: one holds what it cannot.
    """
    vector_bytes()
    simulator()
