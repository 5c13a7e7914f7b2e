"""docs/command-line.md and docs/data.md name everything there is."""

import ast
import re

import click
import pytest

from minidl.cli import COMMANDS, cli

#: With the commands behind commands.
EVERY = [*COMMANDS, "bench kernels"]


def options(command: click.Command) -> list[str]:
    names = [
        name
        for p in command.params
        if isinstance(p, click.Option) and not p.hidden
        for name in (*p.opts, *p.secondary_opts)
    ]
    return [name for name in names if name.startswith("--")]


def find(name: str) -> click.Command:
    command: click.Command | None = cli
    for word in name.split():
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    return command


def test_every_command_is_looked_at():
    behind = [
        f"{name} {word}"
        for name in COMMANDS
        if isinstance(group := find(name), click.Group)
        for word in group.list_commands(click.Context(group))
    ]
    assert [*COMMANDS, *behind] == EVERY


def section(page: str, heading: str) -> str:
    """From a heading to the next one of its level."""
    match = re.search(rf"^## `?{re.escape(heading)}`?.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert match, f"no section {heading}"
    return match[0]


@pytest.mark.parametrize("name", EVERY)
def test_every_option_is_in_its_commands_section(root, name):
    page = (root / "docs/command-line.md").read_text(encoding="utf-8")
    command = find(name)
    text = section(page, f"minidl {name}")
    missing = [option for option in options(command) if f"`{option}" not in text and f"/{option}" not in text]
    assert not missing


@pytest.mark.parametrize("name", EVERY)
def test_defaults_in_the_tables_are_the_programs(root, name):
    page = section((root / "docs/command-line.md").read_text(encoding="utf-8"), f"minidl {name}")
    command = find(name)
    rows = dict(re.findall(r"^\| `(--[\w-]+)[^|]*\| ([^|]+?) *\|", page, re.MULTILINE))
    assert len(rows) >= 2
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.show_default and not parameter.is_bool_flag:
            assert rows[parameter.opts[0]] == f"`{parameter.default}`", parameter.opts[0]


def test_no_option_is_described_that_is_not_there(root):
    page = (root / "docs/command-line.md").read_text(encoding="utf-8")
    known = {"--help", "--version", *options(cli)}
    for name in EVERY:
        known |= set(options(find(name)))
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page)) <= known


def test_every_exit_code_is_in_the_page(root):
    page = (root / "docs/command-line.md").read_text(encoding="utf-8")
    for code in (0, 1, 2, 130, 141, 143):
        assert re.search(rf"^\| {code} \|", page, re.MULTILINE), code


def test_every_key_of_dataset_toml_is_in_the_page(root):
    source = (root / "minidl/segmentation/dataset_config.py").read_text(encoding="utf-8")
    known = next(
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "known"
    )
    assert len(known) >= 6
    page = (root / "docs/data.md").read_text(encoding="utf-8")
    for key in known:
        assert re.search(rf"^\| `\[?{key}\]?` \|", page, re.MULTILINE), key


def test_the_tomls_of_the_page_are_read(root, tmp_path):
    from minidl.segmentation.dataset_config import read_config

    page = (root / "docs/data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    for text in blocks:
        (tmp_path / "dataset.toml").write_text(text, encoding="utf-8")
        read_config(tmp_path / "dataset.toml")
