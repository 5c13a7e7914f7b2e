"""A real run's checkpoint, damaged: truncated at every hundredth byte, with flipped bytes, with holes."""

import numpy as np
import pytest

from minidl.errors import InputError
from minidl.train import Trainer, load_run
from minidl.train.checkpoint import load
from oracles.runs import stop_after

pytestmark = pytest.mark.usefixtures("quick_plots")


@pytest.fixture
def run(squares, tmp_path, config):
    """A folder with a run in the middle, all kinds of state in it."""
    options = config(steps=6, model={"dropout": 0.2}, warmup=2)
    trainer = Trainer(squares, options, tmp_path / "run")
    assert trainer.run(stop_after(6)) is False
    return trainer


def refusal(call, path) -> str:
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and ";" in message, message
    assert "damaged" in message, message
    return message


def test_truncated_at_every_hundredth_byte(run):
    path = run.out / "last.safetensors"
    whole = path.read_bytes()
    assert len(whole) > 10_000
    for length in [*range(0, len(whole), 100), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refusal(lambda: load(path), path)
    path.write_bytes(whole)
    assert load(path).step == run.step


def test_flipped_bytes(run):
    """The length of the header, every kind of place after it; any of the 255 wrong values."""
    path = run.out / "last.safetensors"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*range(8), *rng.integers(8, len(whole), 400).tolist()]:
        changed = bytearray(whole)
        changed[position] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        refusal(lambda: load(path), path)


def test_blocks_of_zeros(run):
    """What a power cut may leave of a file that was not synced: the right length, and blocks without data."""
    path = run.out / "last.safetensors"
    whole = path.read_bytes()
    for begin in range(0, len(whole), 512):
        changed = bytearray(whole)
        changed[begin : begin + 512] = bytes(len(changed[begin : begin + 512]))
        if changed != whole:
            path.write_bytes(changed)
            refusal(lambda: load(path), path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_nobody_uses_a_truncated_checkpoint(run, squares, share):
    """Prediction, and a resumed run, which leaves everything as it was."""
    path = run.out / "last.safetensors"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    before = {p.name: p.read_bytes() for p in run.out.iterdir()}
    refusal(lambda: load_run(path), path)
    refusal(lambda: Trainer(squares, run.config, run.out, resume=True), path)
    assert {p.name: p.read_bytes() for p in run.out.iterdir()} == before
