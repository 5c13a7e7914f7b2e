"""A training that looks well and finds nothing: every pixel is said to be of the classes that have most.

With 1.6 % of the pixels in a class, the answer "all background" is right for 98.4 % of them, and no error of
any kind is raised. One line says so, once in a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl._text import shown
from minidl.train.config import TrainConfig
from minidl.train.history import CLASS_RECALL

#: A class of which less than this share is found is missed, where so many of all pixels or more are right.
RECALL, ACCURACY = 0.1, 0.5
#: Not before half of the run, which is soon enough to stop, and late enough for what is learned late; in a
#: long one not later than so many steps, in a short one not earlier.
LATEST, EARLIEST = 500, 25
#: So many classes are named.
NAMED = 5


def missed(row: dict[str, Any], pixels: Sequence[int], learned: Sequence[int], total: int) -> list[int]:
    """Ids of the classes that validation holds and the network hardly finds, by a row of the history.

    Args:
        row: see `minidl.train.history`; without a recall of each class, as old ones are, none is missed.
        pixels: of each class in the validation masks.
        learned: of each class in the training masks; what is not there cannot be found.
        total: steps of the whole run.

    >>> row = {"step": 60, "val_accuracy": 0.98, "val_class_recall": [1.0, 0.02]}
    >>> missed(row, [984, 16], [984, 16], 120), missed({**row, "step": 30}, [984, 16], [984, 16], 120)
    ([1], [])
    """
    recalls, accuracy = row.get(CLASS_RECALL), row.get("val_accuracy")
    early = row["step"] < min(LATEST, max(EARLIEST, total // 2))
    if early or not recalls or accuracy is None or accuracy < ACCURACY:
        return []
    return [
        index
        for index, recall in enumerate(recalls)
        if recall is not None and recall < RECALL and pixels[index] and learned[index]
    ]


def warning(
    rows: Sequence[dict[str, Any]],
    pixels: Sequence[int],
    learned: Sequence[int],
    classes: Sequence[str],
    config: TrainConfig,
    total: int,
) -> str | None:
    """What to say after the last of these rows: None, also where it has been said after one before.

    >>> rows = [{"step": 60, "val_accuracy": 0.98, "val_class_recall": [1.0, 0.02]}]
    >>> print(warning(rows, [984, 16], [984, 16], ["background", "vessel"], TrainConfig(), 120))
    warning: vessel (1.6 % of the validation pixels) is hardly found: recall 0.02 at step 60, although 98 % \
of all pixels are right; if it stays so, train again with --class-weights balanced
    """
    found = missed(rows[-1], pixels, learned, total)
    if not found or any(missed(row, pixels, learned, total) for row in rows[:-1]):
        return None
    row, everything = rows[-1], sum(pixels)
    rare = any(pixels[i] * len(classes) < everything / 2 for i in found)
    named = [
        f"{shown(classes[i], 40)} ({100 * pixels[i] / everything:.2g} % of the validation pixels)"
        for i in found
    ]
    recalls = [f"{row[CLASS_RECALL][i]:.2f}" for i in found]
    more = f" and {len(found) - NAMED} more classes" if len(found) > NAMED else ""
    return (
        f"warning: {', '.join(named[:NAMED])}{more} {'is' if len(found) == 1 else 'are'} hardly found: recall"
        f" {', '.join(recalls[:NAMED])} at step {row['step']}, although {100 * row['val_accuracy']:.0f} % of"
        f" all pixels are right; if it stays so, train again with {_remedy(config, rare)}"
    )


def _remedy(config: TrainConfig, rare: bool) -> str:
    """What helps a class that is rare is no help to one with its fair share of the pixels."""
    if not rare:
        return "more --steps or another --lr"
    options = [
        *(["--head-init prior"] if config.head_init == "network" else []),
        *(["--class-weights balanced"] if config.class_weights == "none" else []),
    ]
    return " or ".join(options) or "more --steps or another --lr"
