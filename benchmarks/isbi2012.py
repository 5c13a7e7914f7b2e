"""Train on ISBI 2012 (sections 00 to 23), measure on sections 24 to 29, beside the same training in torch.

    python benchmarks/isbi2012.py [--data FOLDER] [--out FOLDER] [--peer torch|none] [--steps 300]
                                  [--seeds 0 1 2]

Both sides start from the same weights, see the same augmented batches in the same order and take the same
steps (Adam, cosine schedule), each on all cores; the last weights are measured, by the same code. With
several seeds all of it again from other weights and batches, and the table gives mean and range. Writes
``isbi2012.json``, ``isbi2012.png`` (sections, truth, predictions), ``figure.png`` (the picture of
docs/results.md), and prints the table. The data are not shipped: docs/results.md says where they come from.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from minidl._atomic import atomic_write
from minidl.segmentation import tiling
from minidl.segmentation.boundaries import score_sections
from minidl.segmentation.files import write_png
from minidl.segmentation.folder import DataSet, scan
from minidl.segmentation.metrics import Scores, confusion_matrix
from minidl.segmentation.pictures import contact_sheet, side_by_side
from minidl.train.config import TrainConfig
from minidl.train.inference import probabilities
from minidl.train.trainer import Trainer

MEMBRANE = 0  # class 0 separates the cells, class 1 is their inside
ROOT = Path(__file__).resolve().parent.parent


def configuration(steps: int, seed: int) -> TrainConfig:
    """A U-Net of base 16 with batch normalisation on crops of 256 x 256, four at a time."""
    return TrainConfig(
        model={"base": 16, "depth": 4, "norm": "batch", "up": "nearest"},
        steps=steps,
        batch_size=4,
        lr=1e-3,
        head_init="network",  # as when the figures of docs/results.md were measured
        augmentation={"crop": 256},
        eval_every=steps,
        seed=seed,
    )


class Lines:
    """Prints a line every 20 steps."""

    def __init__(self, name: str) -> None:
        self.name, self.done, self.total, self.began = name, 0, 0, time.monotonic()

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """See minidl.train.trainer.Reporter."""
        self.total, self.done, self.training = total, done, name == "training"

    def advance(self, amount: int = 1, **figures: Any) -> None:
        """See minidl.train.trainer.Reporter."""
        self.done += amount
        if self.training and self.done % 20 == 0:
            seconds = time.monotonic() - self.began
            print(
                f"{self.name} step {self.done}/{self.total} loss {figures['loss']:.4f} after {seconds:.0f} s",
                flush=True,
            )

    def message(self, text: str) -> None:
        """See minidl.train.trainer.Reporter."""
        print(f"{self.name} {text}", flush=True)


def train_minidl(trainer: Trainer) -> dict[str, Any]:
    """Train; gives the time of all steps, losses and the probabilities of the validation sections."""
    losses: list[float] = []
    seconds = 0.0
    plain_step = trainer._step

    def recorded(*batch: Any) -> float:
        nonlocal seconds
        began = time.monotonic()
        losses.append(plain_step(*batch))
        seconds += time.monotonic() - began
        return losses[-1]

    trainer._step = recorded  # type: ignore[method-assign]
    trainer.run()
    predicted = [
        probabilities(trainer.model, trainer.normalisation, trainer.data.load(s)[0])
        for s in trainer.val_samples
    ]
    return {"seconds": seconds, "losses": losses, "probabilities": np.stack(predicted)}


def train_torch(fresh: Trainer) -> dict[str, Any]:
    """The same training in torch: ``fresh`` gives initial weights, batches, rates and normalisation."""
    import torch
    from torch.nn import functional as F

    from minidl.bench.sides.torch_unet import with_weights

    model = with_weights(fresh.architecture, fresh.model.state_dict())
    model = model.to(memory_format=torch.channels_last)  # torch's faster setting on a CPU
    optimizer = torch.optim.Adam(model.parameters(), fresh.config.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, fresh.schedule.lr_lambdas)
    losses = []
    seconds = 0.0
    for step, (images, masks) in enumerate(fresh.batches.iterate(0, fresh.total), 1):
        began = time.monotonic()
        model.train()
        optimizer.zero_grad()
        x = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(model(x), torch.from_numpy(masks), ignore_index=fresh.data.ignore_index)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        seconds += time.monotonic() - began
        if step % 20 == 0:
            print(f"torch  step {step}/{fresh.total} loss {losses[-1]:.4f} after {seconds:.0f} s", flush=True)
    model.eval()

    def forward(tiles: Any) -> Any:
        with torch.no_grad():
            return torch.softmax(
                model(torch.from_numpy(np.ascontiguousarray(fresh.normalisation(tiles)))), 1
            ).numpy()

    options = {"multiple": fresh.model.multiple}
    images = [fresh.data.load(s)[0] for s in fresh.val_samples]
    predicted = [tiling.predict(forward, image, fresh.data.num_classes, **options) for image in images]  # type: ignore[arg-type]
    return {"seconds": seconds, "losses": losses, "probabilities": np.stack(predicted)}


def measure(data: DataSet, p: Any) -> dict[str, Any]:
    """All figures of the validation sections from their class probabilities (S, K, H, W)."""
    truth = np.stack([data.load(s)[1] for s in data.samples("val")])  # type: ignore[misc]
    scores = Scores.from_confusion(confusion_matrix(truth, p.argmax(axis=1), data.num_classes))
    boundaries = score_sections(truth != MEMBRANE, 1 - p[:, MEMBRANE])
    return {**scores.to_dict(), **boundaries.to_dict()}


def table(runs: list[dict[str, dict[str, Any]]]) -> str:
    """Markdown, a column for each side; of several seeds the mean and, in brackets, the range."""
    rows = [
        ("V_rand", "v_rand"),
        ("V_info", "v_info"),
        ("pixel error", "pixel_error"),
        ("accuracy", "accuracy"),
        ("mean IoU", "mean_iou"),
    ]
    sides = list(runs[0])

    def cells(figures: dict[str, list[float]], digits: int) -> list[str]:
        texts = []
        for name in sides:
            values = figures[name]
            span = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
            texts.append(f"{np.mean(values):.{digits}f}{span}")
        return texts

    lines = [(title, cells({n: [r[n][key] for r in runs] for n in sides}, 4)) for title, key in rows]
    for key in ("iou", "precision", "recall", "f1"):
        for index, kind in enumerate(("membrane", "cell")):
            figures = {n: [r[n][key][index] for r in runs] for n in sides}
            lines.append((f"{key} of {kind}", cells(figures, 4)))
    lines.append(("all steps, seconds", cells({n: [r[n]["seconds"] for r in runs] for n in sides}, 0)))
    head = f"| | {' | '.join(sides)} |\n|---|{'---|' * len(sides)}\n"
    return head + "\n".join(f"| {title} | {' | '.join(texts)} |" for title, texts in lines)


def figure(path: Path, losses: dict[str, list[float]], cell: Any) -> None:
    """The picture of docs/results.md: what the networks made, nothing of the data, which may not be shipped.

    Args:
        path: PNG to write.
        losses: of every step, for each side.
        cell: minidl's probability of "cell" for one section, (H, W).
    """
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(11, 4.6), layout="constrained")
    curves, picture = drawing.subplots(1, 2, width_ratios=(1.3, 1))
    styles = {"torch": {"linewidth": 5, "color": "orange"}, "minidl": {"linewidth": 1.2, "color": "black"}}
    for name, style in styles.items():  # torch as a broad band, minidl as a line upon it
        if name not in losses:
            continue
        smooth = np.convolve(losses[name], np.ones(15) / 15, mode="valid")
        curves.plot(np.arange(len(smooth)) + 8, smooth, label=name, **style)
    curves.set(xlabel="step", ylabel="cross-entropy, mean of 15 steps", title="Training loss")
    curves.set_ylim(0, 0.6)
    curves.legend()
    picture.imshow(cell, cmap="gray", vmin=0, vmax=1)
    picture.set_title("minidl's probability of cell, section 24")
    picture.set_axis_off()
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=80)
    atomic_write(path, buffer.getvalue())


def run(data: DataSet, options: argparse.Namespace, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides from one seed: (figures and losses of each side, what each side made)."""
    config = configuration(options.steps, seed)
    folder = options.out / f"seed-{seed}"
    sides: dict[str, dict[str, Any]] = {}
    if options.peer == "torch":  # first, since making a Trainer draws the initial weights anew from the seed
        sides["torch"] = train_torch(Trainer(data, config, folder / "torch"))
    trainer = Trainer(data, config, folder / "minidl", reporter=Lines("minidl"))
    sides["minidl"] = train_minidl(trainer)
    sides = dict(sorted(sides.items()))  # minidl first
    results = {
        name: {**measure(data, side["probabilities"]), "seconds": side["seconds"]}
        for name, side in sides.items()
    }
    losses = {name: side["losses"] for name, side in sides.items()}
    return {"seed": seed, "config": config.to_dict(), "results": results, "losses": losses}, sides


def pictures(data: DataSet, out: Path, losses: dict[str, Any], sides: dict[str, dict[str, Any]]) -> None:
    """Sections, truth and predictions; and the figure of docs/results.md."""
    rows = []
    for index in (0, 3):
        image, truth = data.load(data.samples("val")[index])
        assert truth is not None
        for name, side in sides.items():
            titles = ("section", "truth", name)
            rows.append(
                side_by_side(image, truth, side["probabilities"][index].argmax(axis=0), data.colours, titles)
            )
    write_png(out / "isbi2012.png", contact_sheet(rows))
    figure(out / "figure.png", losses, sides["minidl"]["probabilities"][0, 1])


def main() -> None:
    """See this file's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "isbi2012")
    parser.add_argument("--out", type=Path, default=Path("results-isbi2012"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--peer", choices=["torch", "none"], default="torch")
    options = parser.parse_args()
    data = scan(options.data, val="2[4-9]")
    record: dict[str, Any] = {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "minidl": minidl.__version__,
        },
        "threads": minidl.get_num_threads(),
        "runs": [],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(options.seeds):
        row, sides = run(data, options, seed)
        record["runs"].append(row)
        atomic_write(options.out / "isbi2012.json", json.dumps(record, indent=1) + "\n")
        if number == 0:
            pictures(data, options.out, row["losses"], sides)
        print(f"seed {seed}\n{table([row['results']])}\n", flush=True)
    if len(options.seeds) > 1:
        print(f"seeds {options.seeds}\n{table([row['results'] for row in record['runs']])}")


if __name__ == "__main__":
    main()
