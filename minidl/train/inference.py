"""Using a trained network: probabilities of pictures of any size, scores on a labelled split, masks for new pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl import ops
from minidl._tensor import Tensor
from minidl.autograd import no_grad
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


def load_run(path: str | Path) -> Run:
    """Load ``best.safetensors`` of a run's folder, or a checkpoint file itself.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "best.safetensors").exists():
            raise InputError(f"{path}: no best.safetensors in this folder; give the folder that 'minidl train --out' wrote")
        path = path / "best.safetensors"
    saved = checkpoints.load(path)
    try:
        model = UNet(**saved.architecture)
        model.load_state_dict(saved.model)
        norm = Normalisation(tuple(saved.normalisation["mean"]), tuple(saved.normalisation["std"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: does not fit its own configuration ({error}); train again") from None
    return Run(path, model.eval(), norm, saved.data, saved.step)


def describe_data(data: DataSet) -> dict[str, Any]:
    """What a checkpoint keeps of a data set."""
    return {
        "root": str(data.root),
        "classes": list(data.classes),
        "colours": data.colours.tolist(),
        "ignore_index": data.ignore_index,
        "in_channels": data.in_channels,
        "splits": {name: [s.stem for s in samples] for name, samples in data.splits.items()},
    }


def probabilities(
    model: UNet,
    normalisation: Normalisation,
    image: Array,
    progress: Callable[[int, int], None] | None = None,
    tile: int = TILE,
) -> Array:
    """Class probabilities, float32 (K, H, W), of one image, float32 (C, H, W) in 0..1, of any size.

    Small images are padded by reflection to a size the network takes; large ones are cut into overlapping tiles whose
    results are blended.
    """
    model.eval()
    size = model.valid_size(model.multiple * 4)
    margin = (size - model.output_size(size)) // 2

    def forward(tiles: Array) -> Array:
        with no_grad():
            logits = model(Tensor(np.ascontiguousarray(normalisation(tiles))))
            return ops.softmax(logits, dim=1).data  # type: ignore[no-any-return]

    return tiling.predict(
        forward,
        image,
        model.num_classes,
        multiple=model.multiple,
        tile=tile,
        overlap=min(OVERLAP, tile // 4),
        margin=margin,
        valid_size=model.valid_size,
        progress=progress,
    )


@dataclass
class Evaluation:
    """Scores of a split; ``boundaries`` where a boundary class was named."""

    scores: Scores
    boundaries: BoundaryScores | None = None

    def to_dict(self, classes: list[str]) -> dict[str, Any]:
        """JSON-able."""
        result: dict[str, Any] = {"classes": classes, **self.scores.to_dict()}
        if self.boundaries is not None:
            result["boundaries"] = self.boundaries.to_dict()
        return result


def evaluate_samples(
    model: UNet,
    normalisation: Normalisation,
    data: DataSet,
    samples: list[Sample],
    tick: Callable[[], None] = lambda: None,
    boundary: int | None = None,
    keep: Callable[[Sample, Array, Array, Array], None] | None = None,
) -> Evaluation:
    """Predict labelled samples and compare.

    Args:
        model, normalisation: the network.
        data, samples: what to predict.
        tick: called after each sample.
        boundary: id of the class that separates cells; then V_rand, V_info and pixel error are computed too.
        keep: called with (sample, image, truth, prediction), to draw pictures.

    Raises:
        InputError: a file cannot be read, or the sections differ in size (with ``boundary``).
    """
    matrix = np.zeros((data.num_classes, data.num_classes), np.int64)
    truths, interiors = [], []
    for sample in samples:
        image, truth = data.load(sample)
        assert truth is not None, "DataSet.samples(labelled=True) checked it"
        p = probabilities(model, normalisation, image)
        prediction = p.argmax(axis=0)
        matrix += confusion_matrix(truth, prediction, data.num_classes, data.ignore_index)
        if boundary is not None:
            truths.append(truth != boundary)
            interiors.append(1 - p[boundary])
        if keep is not None:
            keep(sample, image, truth, prediction)
        tick()
    boundaries = None
    if boundary is not None:
        if len({t.shape for t in truths}) != 1:
            raise InputError(f"{data.root}: V_rand and V_info need sections of one size; leave out --boundary")
        boundaries = score_sections(np.stack(truths), np.stack(interiors))
    return Evaluation(Scores.from_confusion(matrix), boundaries)


def predict_images(run: Run, images: list[tuple[Path, Array]]) -> Iterator[tuple[Path, Array, Array]]:
    """(path, image, class ids) for each image, float32 (C, H, W) with the channels the network takes."""
    for path, image in images:
        yield path, image, probabilities(run.model, run.normalisation, image).argmax(axis=0).astype(np.uint8)
