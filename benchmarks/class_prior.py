"""Does a training find a class of few pixels? From the class prior, from random weights, and in torch.

    python benchmarks/class_prior.py            train; results/class_prior.json, picture and page
    python benchmarks/class_prior.py --page     picture and page alone, out of results/class_prior.json

Generated pictures: thin bright structures (1.6 % of the pixels) and touching blobs (15 %), 80 to learn from
and 20 to measure on, of 64 x 64 pixels, new ones for each seed. Every training is 120 steps with the defaults
of ``minidl train``. The torch side is the same U-Net with torch's own initial weights; it sees the same
batches in the same order and takes the same steps (Adam, cosine). The weights after the last step are
measured, by the same code.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from minidl._atomic import atomic_write
from minidl.bench.tables import between
from minidl.segmentation import tiling
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import DataSet, scan
from minidl.segmentation.metrics import Scores, confusion_matrix
from minidl.segmentation.structures import thin_structures, touching_blobs
from minidl.train.config import TrainConfig
from minidl.train.history import CLASS_IOU
from minidl.train.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULTS = ROOT / "docs" / "class-prior.md", ROOT / "benchmarks" / "results" / "class_prior.json"
PICTURE = ROOT / "docs" / "images" / "class_prior.png"
BEGIN, END = "<!-- class-prior: begin (benchmarks/class_prior.py) -->", "<!-- class-prior: end -->"

SIZE, TRAIN, VAL, EVERY = 64, 80, 20, 40
DATA: dict[str, Any] = {
    "thin structures, 1.6 %": lambda seed: thin_structures(
        TRAIN + VAL, SIZE, contrast=0.3, share=0.016, seed=seed
    ),
    "touching blobs, 15 %": lambda seed: touching_blobs(TRAIN + VAL, SIZE, share=0.15, seed=seed),
}
SIDES = ("minidl, class prior", "minidl, random head", "torch, its own weights")


def write_folder(root: Path, images: Any, masks: Any) -> DataSet:
    """Pictures as a folder, as ``minidl train`` reads it."""
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        split = root / ("train" if index < TRAIN else "val")
        for kind, values in (("images", np.rint(image[0] * 255).astype(np.uint8)), ("labels", mask)):
            (split / kind).mkdir(parents=True, exist_ok=True)
            write_png(split / kind / f"{index:03}.png", values)
    return scan(root, num_classes=2)


def configuration(steps: int, seed: int, head_init: str) -> TrainConfig:
    """The defaults of ``minidl train``."""
    model = {"base": 16, "depth": 4, "norm": "batch", "up": "nearest"}
    augmentation = {"flip": True, "brightness": 0.1, "contrast": 0.1}
    options = {"steps": steps, "eval_every": EVERY, "seed": seed, "head_init": head_init}
    return TrainConfig(model=model, augmentation=augmentation, **options)


def train_minidl(trainer: Trainer) -> list[tuple[int, float]]:
    """IoU of class 1 on the held-out pictures, after so many steps."""
    trainer.run()
    return [(row["step"], row[CLASS_IOU][1]) for row in trainer.rows]


def train_torch(fresh: Trainer) -> list[tuple[int, float]]:
    """The same in torch: ``fresh`` gives batches, rates and normalisation, but no weights."""
    import torch
    from torch.nn import functional as F

    from minidl.bench.sides.torch_unet import network_class

    torch.set_num_threads(minidl.get_num_threads())
    torch.manual_seed(fresh.config.seed)
    model = network_class()(**fresh.architecture)
    optimizer = torch.optim.Adam(model.parameters(), fresh.config.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, fresh.schedule.lr_lambdas)

    def forward(tiles: Any) -> Any:
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(fresh.normalisation(tiles)))
            return torch.softmax(model(x), 1).numpy()

    curve = []
    for step, (images, masks) in enumerate(fresh.batches.iterate(0, fresh.total), 1):
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(torch.from_numpy(images)), torch.from_numpy(masks)).backward()
        optimizer.step()
        schedule.step()
        if step % EVERY == 0 or step == fresh.total:
            model.eval()
            matrix = np.zeros((2, 2), np.int64)
            for sample in fresh.val_samples:
                image, truth = fresh.data.load(sample)
                p = tiling.predict(forward, image, 2, multiple=fresh.model.multiple)
                matrix += confusion_matrix(truth, p.argmax(axis=0), 2)
            curve.append((step, float(Scores.from_confusion(matrix).iou[1])))
    return curve


def measured(steps: int, seeds: list[int], scratch: Path) -> dict[str, Any]:
    """Curves of every data set, side and seed."""
    curves: dict[str, dict[str, list[Any]]] = {name: {side: [] for side in SIDES} for name in DATA}
    for seed in seeds:
        for number, (name, generate) in enumerate(DATA.items()):
            folder = scratch / f"{number}-{seed}"
            data = write_folder(folder / "data", *generate(seed))
            for side in SIDES:
                head_init = "prior" if side == SIDES[0] else "network"
                trainer = Trainer(data, configuration(steps, seed, head_init), folder / side)
                curve = train_torch(trainer) if side == SIDES[2] else train_minidl(trainer)
                curves[name][side].append(curve)
                print(f"{name}; {side}; seed {seed}: IoU {curve[-1][1]:.3f}", flush=True)
    versions = {"python": platform.python_version(), "numpy": np.__version__, "minidl": minidl.__version__}
    return {"versions": versions, "steps": steps, "seeds": seeds, "curves": curves}


def table(record: dict[str, Any]) -> str:
    """Markdown: mean over the seeds, lowest and highest in brackets."""
    lines = ["| IoU of class 1 after " + f"{record['steps']} steps | " + " | ".join(SIDES) + " |"]
    lines.append("| --- |" + " --- |" * len(SIDES))
    for name, sides in record["curves"].items():
        cells = []
        for side in SIDES:
            last = [curve[-1][1] for curve in sides[side]]
            cells.append(f"{np.mean(last):.3f} ({min(last):.3f} to {max(last):.3f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(record: dict[str, Any]) -> bytes:
    """A panel for each data set: every seed's curve, and the mean of each side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = figure.subplots(1, len(record["curves"]), sharey=True)
    for axes, (name, sides) in zip(panels, record["curves"].items(), strict=True):
        for side, colour in zip(SIDES, ("black", "tab:orange", "tab:blue"), strict=True):
            for curve in sides[side]:
                axes.plot(*zip(*curve, strict=True), color=colour, linewidth=0.7, alpha=0.6)
            mean = np.mean(sides[side], axis=0)
            axes.plot(mean[:, 0], mean[:, 1], color=colour, linewidth=2.2, marker=".", label=side)
        axes.set(title=name, xlabel="step", ylim=(0, 1))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("IoU of class 1, held-out pictures")
    panels[0].legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def main() -> int:
    """See this file's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", action="store_true", help="write picture and page out of the results")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=minidl.get_num_threads())
    options = parser.parse_args()
    minidl.set_num_threads(options.threads)
    if not options.page:
        with tempfile.TemporaryDirectory() as scratch:
            record = measured(options.steps, options.seeds, Path(scratch))
        atomic_write(RESULTS, json.dumps(record) + "\n")
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    atomic_write(PICTURE, draw(record))
    atomic_write(PAGE, between(PAGE.read_text(encoding="utf-8"), BEGIN, END, table(record)))
    print(table(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
