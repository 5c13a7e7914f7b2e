"""Using a trained network: probabilities of pictures of any size, scores on a split, masks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl import fuse, ops
from minidl._device import CPU, Device, device_of, move, on
from minidl._tensor import Tensor
from minidl.autograd import no_grad
from minidl.dispatch import array_module
from minidl.errors import InputError
from minidl.models import UNet
from minidl.segmentation import tiling
from minidl.segmentation.boundaries import BoundaryScores, score_sections
from minidl.segmentation.folder import DataSet
from minidl.segmentation.metrics import Scores, confusion_matrix
from minidl.segmentation.pairing import Sample
from minidl.train import checkpoint as checkpoints
from minidl.train.batches import Normalisation

Array = np.ndarray[Any, Any]

#: Prediction works through tiles of at most this many pixels a side.
TILE, OVERLAP = 512, 64


@dataclass
class Run:
    """A trained network with what it needs to be used."""

    path: Path
    model: UNet
    normalisation: Normalisation
    data: dict[str, Any]
    step: int

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self.data["classes"])

    @property
    def colours(self) -> Array:
        """Display colours, uint8 (num_classes, 3)."""
        return np.array(self.data["colours"], np.uint8)


def load_run(path: str | Path, device: str | Device = "cpu") -> Run:
    """Load ``best.safetensors`` of a run's folder, or a checkpoint file itself, onto a device.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "best.safetensors").exists():
            raise InputError(f"{path}: no best.safetensors in this folder; {_without_best(path)}")
        path = path / "best.safetensors"
    saved = checkpoints.load(path)
    try:
        model = fuse(UNet(**saved.architecture))
        model.load_state_dict(saved.model)
        norm = Normalisation(tuple(saved.normalisation["mean"]), tuple(saved.normalisation["std"]))
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: does not fit its own configuration ({error}); train again") from None
    return Run(path, model.to(device).eval(), norm, saved.data, saved.step)


def _without_best(folder: Path) -> str:
    if (folder / "last.safetensors").exists():
        return f"the run has not been validated yet; resume it, or give {folder / 'last.safetensors'}"
    return "give the folder that 'minidl train --out' wrote"


def describe_data(data: DataSet, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a checkpoint keeps of a data set: ``options`` are the arguments of the scan, to repeat it."""
    return {
        "root": os.path.realpath(data.root),
        "options": options or {},
        "classes": list(data.classes),
        "colours": data.colours.tolist(),
        "ignore_index": data.ignore_index,
        "in_channels": data.in_channels,
        "splits": {
            name: [relative_name(data, sample) for sample in samples] for name, samples in data.splits.items()
        },
    }


def relative_name(data: DataSet, sample: Sample) -> str:
    """What a checkpoint calls an image: its path below the data set's folder."""
    return sample.image_path.relative_to(data.root).as_posix()


def probabilities(
    model: UNet,
    normalisation: Normalisation,
    image: Array,
    progress: Callable[[int, int], None] | None = None,
    tile: int = TILE,
) -> Array:
    """Class probabilities, float32 (K, H, W), of one image, float32 (C, H, W) in 0..1, of any size.

    Small images are padded by reflection to a size the network takes; large ones are cut into overlapping
    tiles whose results are blended.
    """
    return _probabilities(model, normalisation, image, CPU, progress, tile)


def _probabilities(
    model: UNet,
    normalisation: Normalisation,
    image: Array,
    blended_on: Device,
    progress: Callable[[int, int], None] | None = None,
    tile: int = TILE,
) -> Any:
    """:func:`probabilities`, as an array of the device ``blended_on``."""
    model.eval()
    device = next(model.parameters()).device

    def forward(tiles: Array) -> Any:
        with no_grad():
            logits = model(Tensor(move(np.ascontiguousarray(normalisation(tiles)), device)))
            return move(ops.softmax(logits, dim=1).data, blended_on)

    return tiling.predict(
        forward,
        image,
        model.num_classes,
        **tiles(model, tile),
        progress=progress,
    )


def tiles(model: UNet, tile: int = TILE) -> dict[str, Any]:
    """How `minidl.segmentation.tiling` is to cut pictures for a network."""
    size = model.valid_size(model.multiple * 4)
    return {
        "multiple": model.multiple,
        "tile": tile,
        "overlap": min(OVERLAP, tile // 4),
        "margin": (size - model.output_size(size)) // 2,
        "valid_size": model.valid_size,
    }


@dataclass
class Evaluation:
    """Scores of a split; ``boundaries`` where a boundary class was named.

    ``loss`` is the mean cross-entropy of the labelled pixels, NaN if there are none.
    """

    scores: Scores
    loss: float = float("nan")
    boundaries: BoundaryScores | None = None

    def to_dict(self, classes: list[str]) -> dict[str, Any]:
        """JSON-able."""
        loss = self.loss if np.isfinite(self.loss) else None
        result: dict[str, Any] = {"classes": classes, "loss": loss, **self.scores.to_dict()}
        if self.boundaries is not None:
            result["boundaries"] = self.boundaries.to_dict()
        return result


class _Loss:
    """The (class-weighted) mean of -log p over labelled pixels, as `minidl.ops.cross_entropy` defines it."""

    def __init__(self, weights: Array | None) -> None:
        self.weights, self.total, self.count = weights, 0.0, 0.0

    def add(self, p: Any, truth: Array, ignore_index: int) -> None:
        """One picture: probabilities (K, H, W), wherever they are, and ids (H, W)."""
        labelled = truth != ignore_index
        ids = truth[labelled]
        classes = move(np.where(labelled, truth, 0).astype(np.int64), device_of(p))
        with on(p):
            chosen = move(array_module(p).take_along_axis(p, classes[None], axis=0)[0], CPU)[labelled]
        # A probability that float32 rounds to 0 would make the loss infinite; a NaN stays one.
        with np.errstate(all="ignore"):
            losses = -np.log(np.maximum(chosen, np.finfo(np.float32).tiny), dtype=np.float64)
            weights = np.ones(ids.size) if self.weights is None else self.weights[ids].astype(np.float64)
            self.total += float(losses @ weights)
            self.count += float(weights.sum())

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else float("nan")


class _Sections:
    """Truth and probability of the interior for every section, for V_rand, V_info and the pixel error."""

    def __init__(self, boundary: int) -> None:
        self.boundary = boundary
        self.truths: list[Array] = []
        self.interiors: list[Array] = []

    def add(self, p: Any, truth: Array, path: Path, ignore_index: int) -> None:
        if (truth == ignore_index).any():
            raise InputError(
                f"{path}: has pixels without a label, for which V_rand and V_info are not defined;"
                " leave out --boundary"
            )
        if self.truths and truth.shape != self.truths[0].shape:
            raise InputError(
                f"{path}: {truth.shape[1]}x{truth.shape[0]} pixels, the first section has"
                f" {self.truths[0].shape[1]}x{self.truths[0].shape[0]}, and V_rand and V_info need sections"
                " of one size; leave out --boundary"
            )
        self.truths.append(truth != self.boundary)
        # Blending tiles rounds: a sum of shares may be above 1 by an ulp.
        self.interiors.append(np.clip(1 - move(p[self.boundary], CPU), 0, 1))

    def scores(self) -> BoundaryScores:
        return score_sections(np.stack(self.truths), np.stack(self.interiors))


def evaluate_samples(
    model: UNet,
    normalisation: Normalisation,
    data: DataSet,
    samples: list[Sample],
    tick: Callable[[], None] = lambda: None,
    boundary: int | None = None,
    keep: Callable[[Sample, Array, Array, Array], None] | None = None,
    weights: Array | None = None,
) -> Evaluation:
    """Predict labelled samples and compare, where the network lives.

    The probabilities stay there; what is copied to the host of each picture are the counts of its confusion
    matrix and, for the loss, the probability of each pixel's true class.

    Args:
        model, normalisation: the network.
        data, samples: what to predict.
        tick: called after each sample.
        boundary: id of the class that separates cells; then V_rand, V_info and pixel error are computed too.
        keep: called with (sample, image, truth, prediction), to draw pictures.
        weights: of the classes, for the loss.

    Raises:
        InputError: a file cannot be read; with ``boundary``, sections differ in size or have pixels without
            a label.
    """
    matrix = np.zeros((data.num_classes, data.num_classes), np.int64)
    loss = _Loss(weights)
    device = next(model.parameters()).device
    sections = None if boundary is None else _Sections(boundary)
    for sample in samples:
        image, truth = data.load(sample)
        assert truth is not None, "DataSet.samples(labelled=True) checked it"
        p = _probabilities(model, normalisation, image, device)
        with on(p):
            prediction = p.argmax(axis=0)
        there = move(truth, device)
        matrix += confusion_matrix(there, prediction, data.num_classes, data.ignore_index)
        loss.add(p, truth, data.ignore_index)
        if sections is not None:
            sections.add(p, truth, sample.mask_path or sample.image_path, data.ignore_index)
        if keep is not None:
            keep(sample, image, truth, move(prediction, CPU))
        tick()
    return Evaluation(
        Scores.from_confusion(matrix), loss.mean, None if sections is None else sections.scores()
    )


def predict_image(run: Run, image: Array, progress: Callable[[int, int], None] | None = None) -> Array:
    """Class ids (H, W) of an image float32 (C, H, W) that has the network's channels.

    ``progress`` is called with (tiles done, tiles in all) after each tile.

    uint8, or uint16 where a run has more than 256 classes.

    Raises:
        InputError: the network gives numbers that are not finite.
    """
    found = probabilities(run.model, run.normalisation, image, progress)
    if not np.isfinite(found).all():
        raise InputError(
            f"{run.path}: the network's results are not finite numbers, so there is no mask; use another"
            " checkpoint or train again"
        )
    ids = found.argmax(axis=0)
    return ids.astype(np.uint8 if len(run.classes) <= 256 else np.uint16)
