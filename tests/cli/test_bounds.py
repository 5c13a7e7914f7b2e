"""Every numeric option of every command has bounds: one line, exit code 2, and nothing is made."""

import click
import pytest

from minidl.cli import COMMANDS, cli
from minidl.cli.numbers import THREADS
from minidl.train import TrainConfig
from minidl.train.setup import check_batch, check_weights
from oracles.commands import assert_names, tree
from oracles.runs import refusal


def numeric() -> list[tuple[tuple[str, ...], click.Option]]:
    """(command, option) of all options that take a number."""
    groups = [((name,), cli.get_command(click.Context(cli), name)) for name in COMMANDS]
    groups += [(("bench", "kernels"), groups[list(COMMANDS).index("bench")][1].commands["kernels"])]
    return [
        (path, option)
        for path, command in groups
        for option in command.params
        if isinstance(option, click.Option)
        and isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
    ]


OPTIONS = {f"{' '.join(path)} {option.opts[0]}": (path, option) for path, option in numeric()}


def refused(call, name: str, value: str) -> str:
    path, option = OPTIONS[name]
    given = {"train": ["x", "--out", "y"], "evaluate": ["x", "y"], "predict": ["x", "y", "--out", "z"]}
    needed = given.get(path[0], ["x"] if path[0] == "cuda-check" else [])
    return call(*path, *needed, f"{option.opts[0]}={value}").error


@pytest.mark.parametrize("name", OPTIONS)
def test_every_number_has_bounds(call, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for value in (
        str(2**70),
        "1" * 5000,
        "-" + "9" * 40,
        "nan",
        "inf",
        "\u00b2",
        "\u0663",
        "1_0",
        "1e400",
        "",
    ):
        message = refused(call, name, value)
        assert_names(message, [OPTIONS[name][1].opts[0]])
        assert len(message) < 400, message
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("threads", [0, -1, THREADS + 1, 100000, "\u00b2"])
def test_threads(call, tmp_path, threads):
    assert_names(call("--threads", threads, "plan").error, ["--threads"])


def test_more_threads_than_cores_are_still_taken(call):
    assert call("--threads", 8, "plan", "--size", 64).code == 0


def test_a_demo_with_an_impossible_seed_leaves_no_folder(call, tmp_path):
    assert_names(call("demo", "--out", tmp_path / "demo", "--seed", 2**70).error, ["--seed"])
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("name", ["\u00b2", "\u0661", "9" * 5000, "-1", "1_0"])
def test_a_boundary_class_that_is_no_number(call, trained, tmp_path, name):
    out = tmp_path / "scores"
    message = call("evaluate", trained / "run", trained / "data", "--boundary", name, "--out", out).error
    assert_names(message, ["--boundary"])
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--base", 4096, "--depth", 8), "--base"),
        (("--batch-size", 2**16, "--crop", 2**14, "--base", 1, "--depth", 1), "--batch-size"),
    ],
)
def test_what_the_machine_has_no_memory_for(call, data, tmp_path, options, named):
    assert_names(call("train", data, "--out", tmp_path / "run", *options).error, [named, "memory"])
    assert not (tmp_path / "run").exists()


def test_what_fits_is_not_refused():
    options = {"in_channels": 3, "num_classes": 2, "base": 32, "depth": 4}
    check_weights(options)
    check_batch(TrainConfig(model={"base": 32}), options, (256, 256))
    huge = {**options, "base": 2**12, "depth": 8}
    refusal(lambda: check_weights(huge), "--base")


@pytest.mark.parametrize("size", ["\u0661\u0662\u0663", "99999999", "64x", "-64", "\u00b2"])
def test_sizes(call, size):
    assert_names(call("plan", f"--size={size}").error, ["--size"])
