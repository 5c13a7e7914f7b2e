"""Who is measured: libraries and their settings, each in a process of its own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Contestant:
    """A library in one setting.

    Attributes:
        name: for ``--peers`` and the results.
        title: for the tables.
        side: module in :mod:`minidl.bench.sides` that knows the library.
        setting: what that module shall do.
        needs: importable names, all of which must be installed.
        distributions: names under which the library's version may be found.
    """

    name: str
    title: str
    side: str
    setting: str
    needs: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()

    def installed(self) -> bool:
        """Whether all that it needs can be imported. (Nothing is imported to find out.)"""
        return all(importlib.util.find_spec(name) is not None for name in self.needs)

    def version(self) -> str | None:
        """The library's version, None if it is not installed."""
        if not self.installed():
            return None
        for name in self.distributions:
            try:
                return importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        return "unknown"


def _torch(name: str, title: str, setting: str) -> Contestant:
    return Contestant(name, title, "torch_side", setting, ("torch",), ("torch",))


def _tensorflow(name: str, title: str, setting: str) -> Contestant:
    distributions = ("tensorflow-cpu", "tensorflow")
    return Contestant(name, title, "keras_side", setting, ("tensorflow", "keras"), distributions)


MINIDL = "minidl"
#: Measures the machine, in turn with the contestants.
GAUGE = Contestant("gauge", "the machine", "gauge", "")

CONTESTANTS: dict[str, Contestant] = {
    contestant.name: contestant
    for contestant in (
        Contestant(MINIDL, "minidl", "minidl_side", "fused"),
        Contestant("minidl-plain", "minidl, not fused", "minidl_side", "plain"),
        Contestant("minidl-recompute", "minidl, stages recomputed", "minidl_side", "recompute"),
        _torch("torch", "PyTorch, NCHW", "nchw"),
        _torch("torch-channels-last", "PyTorch, channels_last", "channels_last"),
        _torch("torch-compile", "PyTorch, channels_last, torch.compile", "compile"),
        _torch("torch-fused-optimizer", "PyTorch, fused=True", "fused"),
        _tensorflow("tensorflow", "TensorFlow, Keras", "graph"),
        _tensorflow("tensorflow-xla", "TensorFlow, Keras, jit_compile=True", "xla"),
        Contestant(
            "onnxruntime",
            "ONNX Runtime",
            "onnx_side",
            "",
            ("onnxruntime", "onnx"),
            ("onnxruntime",),
        ),
    )
}

#: Contestants that are minidl itself: never "the fastest peer".
OWN = tuple(name for name in CONTESTANTS if name.startswith(MINIDL))
PEERS = tuple(name for name in CONTESTANTS if name not in OWN)


def contestant(name: str) -> Contestant:
    """The contestant of that name, or the gauge.

    Raises:
        KeyError: there is none.
    """
    return GAUGE if name == GAUGE.name else CONTESTANTS[name]
