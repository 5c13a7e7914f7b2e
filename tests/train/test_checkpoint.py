"""Checkpoints: what goes in comes out, and every kind of damage is one line."""

import json
import os
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from minidl.errors import InputError
from minidl.train.checkpoint import Checkpoint, describe, load, save


def example() -> Checkpoint:
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    return Checkpoint(
        config={"lr": 0.1 + 0.2, "steps": None},
        architecture={"base": 1, "depth": 1, "bottleneck": False, "in_channels": 1, "num_classes": 2},
        data={"classes": ["背景", "cell"], "root": "/x", "colours": [[0, 0, 0], [9, 9, 9]], "splits": {}},
        normalisation={"mean": [0.1], "std": [0.2]},
        step=7,
        model={
            "a.weight": grid,
            "a.transposed": grid.T,
            "a.strided": grid[::2, ::3],
            "a.reversed": grid[:, ::-1],
            "bn.num_batches_tracked": np.array(41, np.int64),
            "empty": np.zeros((0, 3), np.float32),
            "double": np.array([1 / 3]),
        },
        optimizer={
            "state": {
                0: {"step": 7, "exp_avg": grid.T},
                3: {"step": 7, "exp_avg": np.array(2.5, np.float32)},
            },
            "param_groups": [{"lr": 0.1, "params": [0, 3]}],
        },
        schedule={"last_epoch": 7, "base_lrs": [0.1]},
        random={
            "bit_generator": "Philox",
            "state": {"counter": [2**63, 5, 0, 0], "key": [1, 2]},
            "buffer": [0, 1, 2, 3],
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        },
        history=[{"step": 2, "val_iou": 1 / 3, "train_loss": None}],
        running={"loss": 1e-300, "steps": 1, "confusion": [[1, 2], [0, 5]]},
        best=0.75,
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, example())
    return path


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and ";" in message, message
    return message


def test_round_trip(saved):
    before, after = example(), load(saved)
    assert after.model.keys() == before.model.keys()
    for name, array in before.model.items():
        np.testing.assert_array_equal(after.model[name], array, err_msg=name, strict=True)
    for index, moments in before.optimizer["state"].items():
        assert after.optimizer["state"][index].keys() == moments.keys()
        for name, value in moments.items():
            np.testing.assert_array_equal(after.optimizer["state"][index][name], value, strict=True)
    assert after.optimizer["param_groups"] == before.optimizer["param_groups"]
    for name in ("config", "architecture", "data", "normalisation", "step", "schedule", "random"):
        assert getattr(after, name) == getattr(before, name)
    assert (after.history, after.running, after.best) == (before.history, before.running, before.best)


def test_the_same_contents_give_the_same_bytes(saved, tmp_path):
    save(tmp_path / "b.safetensors", load(saved))
    assert (tmp_path / "b.safetensors").read_bytes() == saved.read_bytes()


def test_other_programs_read_the_weights(saved):
    from safetensors.numpy import load_file

    tensors = load_file(saved)
    np.testing.assert_array_equal(tensors["model.a.transposed"], example().model["a.transposed"])
    assert tensors["model.bn.num_batches_tracked"].shape == ()


def test_description_is_json_without_tensors():
    text = json.dumps(describe(example()))
    assert set(json.loads(text)) == {"config", "architecture", "data", "normalisation"}


# ---------------------------------------------------------------------------------------------
# Damage
# ---------------------------------------------------------------------------------------------
def test_truncated_at_any_length(saved):
    whole = saved.read_bytes()
    # every length in the header's beginning and near the end, and a spread between
    lengths = {*range(40), *range(len(whole) - 40, len(whole)), *range(0, len(whole), 23)}
    for length in sorted(lengths):
        saved.write_bytes(whole[:length])
        refusal(saved)


def test_any_flipped_bit(saved):
    """In the header, in the JSON text, in the weights: none of them goes unnoticed."""
    whole = saved.read_bytes()
    for position in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        saved.write_bytes(changed)
        refusal(saved)


def test_swapped_weights_are_noticed(saved):
    """Two tensors of one shape whose bytes trade places."""
    whole = saved.read_bytes()
    a = example().model["a.weight"].tobytes()
    b = example().model["a.reversed"].tobytes(order="C")
    assert whole.count(a) >= 1 and whole.count(b) == 1
    saved.write_bytes(whole.replace(a, b))
    assert "checksum" in refusal(saved)


def test_appended_bytes(saved):
    saved.write_bytes(saved.read_bytes() + b"\0" * 8)
    refusal(saved)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\0" * 100,
        b"PK\x03\x04" + b"\0" * 50,
        pickle.dumps({"model": [1, 2, 3]}),
        os.urandom(0) + b"text\n",
    ],
    ids=["empty", "zeros", "zip, as torch writes", "pickle", "text"],
)
def test_other_files(tmp_path, contents):
    path = tmp_path / "other.safetensors"
    path.write_bytes(contents)
    assert "damaged, or not a checkpoint" in refusal(path)


def test_a_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    path = tmp_path / "bomb.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    refusal(path)
    assert not (tmp_path / "ran").exists()


def test_missing_and_folder(tmp_path):
    assert "no such checkpoint" in refusal(tmp_path / "none.safetensors")
    assert "no such checkpoint" in refusal(tmp_path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}], ids=["none", "torch's"])
def test_foreign_safetensors(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": np.ones(3, np.float32)}, path, metadata)
    assert "not a checkpoint of minidl" in refusal(path)


def test_a_checkpoint_of_another_version(tmp_path, monkeypatch):
    path = tmp_path / "new.safetensors"
    monkeypatch.setattr("minidl.train.checkpoint.FORMAT", 99)
    save(path, example())
    monkeypatch.undo()
    assert "that this version cannot read" in refusal(path)


# ---------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_failing_disk_leaves_the_old_file(saved, monkeypatch, call):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    changed = example()
    changed.step = 8
    monkeypatch.setattr(os, call, full)
    with pytest.raises(InputError, match="No space left on device"):
        save(saved, changed)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert load(saved).step == 7
