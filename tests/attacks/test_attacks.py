"""The attacks themselves: what they call survived, a few of each family, and faults that they must notice."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

import minidl
from attacks import page
from attacks.bench import ERROR, Bench, Ended, complaint
from attacks.families import FAMILIES
from attacks.mutation import mutated
from attacks.planted import PLANTS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and signals of POSIX")

#: These start processes: `make break` and CI run them, and the tests of what they attack are elsewhere.
PROCESSES = {"caches", "environments", "signals", "kills"}
WITHIN = sorted(FAMILIES.keys() - PROCESSES)
#: So many attacks, and one of them meets the fault.
ENOUGH = {"checkpoints": 40, "damage": 40, "pictures": 8, "names": 15, "numbers": 6, "dataset.toml": 60}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    before = minidl.get_num_threads()
    yield Bench(tmp_path, seconds=300)  # on a busy machine everything takes its time
    patch.stopall()
    minidl.set_num_threads(before)


@pytest.mark.parametrize(
    ("ended", "word"),
    [
        (Ended(0, "fine\n"), ""),
        (Ended(0, err="note: one\n"), ""),
        (Ended(2, err=f"{ERROR}x.png: no image; give another\n"), ""),
        (Ended(2, err=f"note: one\n{ERROR}x.png: no image; give another\n"), ""),
        (Ended(1), "exit code"),
        (Ended(-11), "exit code"),
        (Ended(0, raised="KeyError: 'x'"), "raised"),
        (Ended(0, err="Traceback (most recent call last):\n"), "traceback"),
        (Ended(0, "a\x1b[31m\n"), "terminal"),
        (Ended(2), "not one line"),
        (Ended(2, err=f"warning: x\n{ERROR}x; y\n"), "not one line"),
        (Ended(2, err=f"{ERROR}x; y\n" * 2), "not one line"),
        (Ended(2, err=f"{ERROR}x\n"), "no remedy"),
        (Ended(2, err=f"{ERROR}{'x' * 3000};\n"), "characters"),
    ],
)
def test_what_counts_as_survived(ended: Ended, word: str) -> None:
    why = complaint(ended, (0, 2))
    assert word in why and bool(why) == bool(word)


def test_files_that_are_lost_changed_or_left_behind_are_seen(bench: Bench, tmp_path: Path) -> None:
    picture, new = bench.data / "val/images/00.png", tmp_path / "out"
    cases = {
        "lost or changed": lambda: picture.write_bytes(b""),
        "wrote": lambda: (bench.data / "new").write_bytes(b""),
        "left behind": lambda: (new / ".a.png.0123abcd.minidl-tmp").write_bytes(b""),
    }
    new.mkdir()
    for number, (word, action) in enumerate(cases.items(), start=1):
        bench.attempt(word, action, writes=[new])
        assert len(bench.failures) == number and word in bench.failures[-1][1]
    bench.attempt("allowed", lambda: (new / "a.png").write_bytes(b""), writes=[new])
    assert bench.tries == 4 and len(bench.failures) == 3


def test_what_hangs_or_fills_the_memory_is_seen(bench: Bench) -> None:
    bench.seconds, bench.memory = 0.2, 64 * 2**20
    bench.attempt("hangs", lambda: random.Random(0) and _for_ever())
    assert "nothing for" in bench.failures[0][1]
    bench.seconds = 300
    bench.attempt("fills", lambda: bytearray(128 * 2**20))
    assert bench.peak == 0 or "MiB" in bench.failures[1][1]  # 0: this system does not tell


def _for_ever() -> None:
    while True:
        pass


def test_damage_is_drawn_by_its_seed() -> None:
    once, again = ([mutated(random.Random(3), bytes(range(100))) for _ in range(20)] for _ in range(2))
    assert once == again
    rng = random.Random(3)
    assert len({mutated(rng, bytes(range(100)))[1] for _ in range(200)}) > 150
    for _ in range(200):
        mutated(rng, b"")


@pytest.mark.parametrize("name", WITHIN)
def test_a_few_attacks_of_each_family_are_survived(bench: Bench, name: str) -> None:
    FAMILIES[name].attack(bench, random.Random(5), 5)
    assert bench.tries >= 5 and bench.failures == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ENOUGH)
def test_a_fault_is_noticed_by_its_family(bench: Bench, name: str) -> None:
    PLANTS[name]()
    FAMILIES[name].attack(bench, random.Random(5), ENOUGH[name])
    assert bench.failures


def test_every_family_has_a_row_a_count_and_a_fault_that_it_must_notice() -> None:
    assert PLANTS.keys() == FAMILIES.keys()
    found = {name: {"tries": 2000, "failures": [["x", "y"]], "seconds": 1, "peak": 0} for name in FAMILIES}
    text = page.page(found, {"names": {"tries": 3, "failures": []}}, 5, 0, 1.0)
    for name, family in FAMILIES.items():
        assert family.COUNT > 0 and f"| {page.about(name)} | 2,000 | " in text and family.MEANS in text
    assert "| 3 of 3 | 1,999 |" in text and text.count("not run") == len(FAMILIES) - 1
