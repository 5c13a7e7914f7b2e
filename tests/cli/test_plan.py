"""`minidl plan`: every convolution of a network, its algorithm, and why."""

import json
import re

import pytest

from minidl.bench.convolutions import layers
from minidl.kernels.cpu import plan
from minidl.kernels.cuda.launch import FOLDER
from minidl.models import UNet, unet_documents
from oracles.commands import assert_names, tree


def rows_of(said, file):
    assert said.code == 0 and said.err == "", said.err
    return json.loads(file.read_text())["rows"]


def test_the_documents_network(call, tmp_path):
    said = call("plan", "--size", "32x48", "--batch-size", 2, "--json", tmp_path / "plan.json")
    rows = rows_of(said, tmp_path / "plan.json")
    names = list(dict.fromkeys(row["layer"] for row in rows))
    own = [name.removesuffix(".weight") for name, _ in unet_documents().named_parameters()]
    assert names == [name for name in own if not name.endswith(".bias")]
    assert len(rows) == 3 * len(names) - 1  # nothing asks for the gradient of the pictures
    first = rows[0]["problem"]
    assert (first["n"], first["c"], first["h"], first["w"], first["k"]) == (2, 3, 32, 48, 32)
    lines = said.out.splitlines()
    assert lines[0].startswith("input 2 x 3 x 32 x 48, float32")
    assert sum(" backward-weight " in line for line in lines) == len(names)
    for row, line in zip(rows, lines[2:], strict=False):
        assert f" {row['plan']['algorithm']} " in line and line.endswith(row["plan"]["why"])
    assert lines[-2].startswith("all ") and lines[-1] == f"{tmp_path / 'plan.json'} has it all"


def test_flops_are_those_of_the_operations():
    """The sum over the forward problems is what the operations themselves count, up-convolutions included."""
    import numpy as np

    import minidl
    from minidl.autograd.function import watch

    for model, size in ((UNet(1, 2, base=4, depth=2, up="transpose"), 16), (UNet(3, 2, base=4, depth=1), 20)):
        counted = []
        with watch(lambda f, arrays, y, options, to=counted: to.append(f.flops(arrays, y, **options))):
            model(minidl.tensor(np.zeros((3, model.in_channels, size, size), np.float32)))
        found = layers(model, (3, model.in_channels, size, size))
        one_each = [problems[-1] for _, problems in found]
        assert sum(p.flops for p in one_each) == sum(counted)


def test_up_convolutions_are_convolutions_read_backwards():
    model = UNet(1, 2, base=4, depth=1, up="transpose")
    name, problems = next(row for row in layers(model, (1, 1, 8, 8)) if row[0].startswith("upsample"))
    problem = problems[0]
    assert name == "upsample.0" and (problem.h, problem.w, *problem.out) == (8, 8, 4, 4)
    assert (problem.c, problem.k, problem.kernel, problem.stride) == (4, 8, (2, 2), (2, 2))
    assert [p.direction for p in problems] == list(plan.DIRECTIONS)


def test_looking_leaves_the_network_as_it_was():
    model = UNet(1, 2, base=4, depth=1, norm="batch")
    before = {name: value.copy() for name, value in model.state_dict().items()}
    assert model.training
    layers(model, (2, 1, 8, 8))
    assert model.training
    assert all((value == before[name]).all() for name, value in model.state_dict().items())


def test_verbose_says_why_not_the_others(call, tmp_path):
    file = tmp_path / "plan.json"
    said = call("plan", "--size", 16, "--batch-size", 1, "--verbose", "--json", file)
    rows = rows_of(said, file)
    assert sum(" not " in line for line in said.out.splitlines()) == 4 * len(rows)
    assert "it needs as many groups as channels" in said.out
    for row in rows:
        assert {row["plan"]["algorithm"], *row["others"]} == set(plan.ALGORITHMS)
        times = [other for other in row["others"].values() if not isinstance(other, str)]
        assert times and row["plan"]["seconds"] <= min(times)


@pytest.mark.parametrize("verbose", [False, True])
def test_measured(call, trained, tmp_path, verbose):
    file = tmp_path / "plan.json"
    options = ["--batch-size", 1, "--json", file, *(["--verbose"] if verbose else [])]
    said = call("plan", trained / "run", "--measure", "--size", 8, *options)
    for row in rows_of(said, file):
        assert row["plan"]["algorithm"] in row["measured"]
        assert all(0 < seconds < 60 for seconds in row["measured"].values())
        able = {name for name, other in row["others"].items() if not isinstance(other, str)}
        assert set(row["measured"]) - {row["plan"]["algorithm"]} == (able if verbose else set())
    assert "measured" in said.out.splitlines()[1]


def test_the_network_of_a_run(call, trained):
    said = call("plan", trained / "run", "--size", "16")
    assert said.code == 0 and said.err == "" and " 1 → 2, 3x3 at 16x16 " in said.out
    by_file = call("plan", trained / "run" / "best.safetensors", "--size", "16")
    assert by_file.out == said.out


def test_threads_halve_the_expected_time(call):
    one, two = (call("--threads", n, "plan", "--size", 32).out.splitlines() for n in (1, 2))
    assert "1 thread" in one[0] and "2 threads" in two[0]
    totals = [float(lines[-1].split()[-1]) for lines in (one, two)]
    assert totals[1] == pytest.approx(totals[0] / 2, abs=0.011)


def test_the_kernels_of_a_gpu_that_is_not_here(call, tmp_path):
    file = tmp_path / "plan.json"
    said = call("plan", "--device", "cuda", "--size", 64, "--batch-size", 2, "--json", file)
    assert said.code == 0 and said.err == ""
    lines, rows = said.out.splitlines(), json.loads(file.read_text(encoding="utf-8"))["rows"]
    known = {kernel for path in FOLDER.glob("*.cu") for kernel in re.findall(r"(\w+)\(", path.read_text())}
    for line, row in zip(lines[2:-2], rows, strict=True):
        problem, algorithm, kernels = row["problem"], row["plan"]["algorithm"], row["plan"]["kernels"]
        assert f" {algorithm} " in line and line.endswith(", ".join(kernels))
        assert kernels and set(kernels) <= known
        assert algorithm != "winograd" or problem["kernel"] == [3, 3]
    again = call("plan", "--device", "cuda", "--size", 64, "--batch-size", 2)
    assert again.out.splitlines() == lines[:-1]  # the same choice always


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--device", "cuda", "--measure"), ["--device cuda", "--measure", "minidl bench kernels"]),
        (("--device", "cuda", "--verbose"), ["--device cuda", "--verbose"]),
        (("--device", "tpu"), ["--device", "tpu", "cuda"]),
        (("--size", "65"), ["--size 65", "does not fit", "80x80"]),
        (("--size", "64x50"), ["--size 64x50", "64x64"]),
        (("--model", "paper", "--size", "570"), ["--size 570", "572x572"]),
        (("--size", "0"), ["--size 0", "16x16"]),
        (("--size", "axb"), ["--size axb", "256x320"]),
        (("--size", "-64"), ["--size -64"]),
        (("--size", "9999999"), ["--size 9999999"]),
        (("--model", "vgg"), ["vgg", "documents", "paper"]),
        (("--batch-size", "0"), ["--batch-size", "0"]),
        (("no-such-run",), ["no-such-run"]),
        (("no-such-run", "--model", "paper"), ["no-such-run", "--model paper", "one of the two"]),
        (("--json", "no-such-folder/plan.json"), ["no-such-folder/plan.json", "--json"]),
        (("--json", "."), ["--json"]),
    ],
)
def test_bad_input(call, tmp_path, monkeypatch, arguments, parts):
    monkeypatch.chdir(tmp_path)
    said = call("plan", *arguments)
    assert_names(said.error, parts)
    assert said.out == "" and tree(tmp_path) == {}


def test_help(call):
    said = call("plan", "--help")
    assert said.code == 0 and said.err == "" and "minidl plan run1" in said.out


def test_what_the_machine_has_no_memory_for_is_refused_before_any_is_taken(call, monkeypatch):
    said = call("plan", "--size", "98304")
    assert said.code == 2 and "--size: a picture of this size" in said.err and said.err.count("\n") == 1
    monkeypatch.setattr("minidl.cli.plan.memory", lambda: 10 * 2**20)
    small = ("plan", "--size", "64", "--batch-size", 64)
    assert call(*small).code == 0
    said = call(*small, "--measure")
    assert said.code == 2 and "--measure: a convolution of this size takes" in said.err
    assert "--batch-size" in said.err and said.err.count("\n") == 1
