"""The networks that all libraries are given: minidl's architecture and its initial weights."""

from __future__ import annotations

from typing import Any

from minidl.bench.costs import ARCHITECTURES


def network(model: str) -> Any:
    """minidl's network of that name, with the weights that seed 0 gives.

    Args:
        model: "documents" or "paper" (with "same" padding).
    """
    import minidl

    minidl.manual_seed(0)
    return minidl.models.UNet(**ARCHITECTURES[model])


def state(model: str) -> dict[str, Any]:
    """The same as arrays by name."""
    return {name: array.copy() for name, array in network(model).state_dict().items()}
