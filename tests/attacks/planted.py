"""Faults on purpose, one for each family: attacks that do not notice them are worth nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch


def _replace(name: str, new: Any) -> Callable[[], object]:
    return lambda: patch(name, new).start()


def _checkpoints_are_trusted() -> None:
    patch("minidl.train.schema.check", lambda parts, model: None).start()


def _sums_are_not_compared() -> None:
    """Whatever is asked, the sum of what is there is the one that is noted."""

    class Same(str):
        def __ne__(self, other: object) -> bool:
            return False

    patch("minidl.train.checkpoint._digest", lambda text, tensors: Same()).start()


def _errors_as_they_come() -> None:
    """No line of ours about what a decoder raises."""

    @contextlib.contextmanager
    def nothing(path: Path, memory: int) -> Iterator[None]:
        yield

    patch("minidl.segmentation.decoding._said_in_one_line", nothing).start()


def _everything_is_ours() -> None:
    patch("minidl._outputs.may_replace", lambda path, owned: True).start()


def _no_temporary_file() -> None:
    """Files are written in place."""

    def write(path: Any, data: Any) -> None:
        from minidl import _atomic

        Path(path).unlink(missing_ok=True)
        with getattr(_atomic, "open", open)(path, "xb") as file:
            file.write(data.encode() if isinstance(data, str) else data)

    for module in (
        "minidl.train.checkpoint",
        "minidl.train.trainer",
        "minidl._marks",
        "minidl.segmentation.files",
    ):
        patch(f"{module}.atomic_write", write).start()


def _marks_are_trusted() -> None:
    import json

    def marked(folder: Path) -> Any:
        path = folder / ".minidl"
        return json.loads(path.read_text())["files"] if path.exists() else {}

    for module in ("minidl._marks", "minidl._outputs"):
        patch(f"{module}.marked", marked).start()


def _any_file_is_compiled_code() -> None:
    import pickle

    def read(path: Path) -> bytes | None:
        data = path.read_bytes() if path.exists() else None
        if data is not None and path.suffix == ".nbi":
            pickle.loads(data)
        return None

    patch("minidl.kernels.caching.read", read).start()


def _streams_stay_closed() -> None:
    patch("minidl.cli.streams.open_missing", lambda: None).start()


def _signals_act_by_themselves() -> None:
    @contextlib.contextmanager
    def nothing() -> Iterator[Any]:
        from minidl.cli.stopping import Stop

        yield Stop()

    import minidl.cli.train  # noqa: F401 - has it by its name

    patch("minidl.cli.train.stop_on_signals", nothing).start()


def _the_step_is_forgotten() -> None:
    """A resumed training draws other numbers."""
    patch("minidl.random.Stream.set_state", lambda stream, state: None).start()


def _numbers_have_no_bounds() -> None:
    import click

    def convert(kind: Any, value: Any, param: Any, ctx: Any) -> Any:
        return float(value) if "." in value else int(value)

    import minidl.cli.numbers as numbers

    for kind in (numbers.Whole, numbers.Real):
        patch.object(kind, "convert", convert).start()
    assert issubclass(numbers.Whole, click.ParamType)


#: By the family that must notice it.
PLANTS: dict[str, Callable[[], object]] = {
    "checkpoints": _checkpoints_are_trusted,
    "damage": _sums_are_not_compared,
    "pictures": _errors_as_they_come,
    "dataset.toml": _replace(
        "minidl.segmentation.dataset_config._typed", lambda table, key, kind, path: table.get(key)
    ),
    "names": _replace("minidl.cli.screen.visible", str),
    "outputs": _everything_is_ours,
    "folders": _marks_are_trusted,
    "numbers": _numbers_have_no_bounds,
    "disks": _no_temporary_file,
    "caches": _any_file_is_compiled_code,
    "environments": _streams_stay_closed,
    "signals": _signals_act_by_themselves,
    "kills": _the_step_is_forgotten,
}
