"""Data sets as they come from elsewhere: built, and their remedies applied."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from minidl.segmentation.files import write_png
from oracles.wrong_masks import areas, as_png, objects

Truth = dict[str, np.ndarray]  # stem -> ids
STEMS = ("a1", "a2", "b1", "b2", "b3")


def ids_of(stem: str) -> np.ndarray:
    return areas(np.random.default_rng(STEMS.index(stem)), 3)


def photo(stem: str, size: int = 64) -> np.ndarray:
    return np.random.default_rng(100 + STEMS.index(stem)).integers(0, 256, (size, size, 3), dtype=np.uint8)


def put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, pixels) if path.suffix == ".png" else Image.fromarray(pixels).save(path)


def fill(
    images: Path, masks: Path, stems: tuple[str, ...] = STEMS, end: str = ".png", image: str = ".png"
) -> Truth:
    """Images and their masks into two folders."""
    for stem in stems:
        put(images / f"{stem}{image}", photo(stem))
        put(masks / f"{stem}{end}", ids_of(stem))
    return {stem: ids_of(stem) for stem in stems}


# ---------------------------------------------------------------------------------------------
# How remedies are applied; each gives the folder that is then scanned
# ---------------------------------------------------------------------------------------------
def by_commands(root: Path, message: str) -> Path:
    """Paste what stands in brackets into a shell."""
    run = re.search(r"(\(cd .*\))(?: # and give (.*))?$", message) or re.search(r" by (mv .*)()$", message)
    assert run, message
    subprocess.run(["sh", "-ec", run[1]], check=True, capture_output=True)
    return Path(shlex.split(run[2])[0]) if run[2] else root


def by_giving(root: Path, message: str) -> Path:
    """Give another path."""
    return Path(re.search(r"; give (\S+)", message)[1])


def by_unpacking(root: Path, message: str) -> Path:
    given, command = re.search(r"; give (\S+) after unpacking it by python (.*)$", message).groups()
    subprocess.run([sys.executable, *command.split()], check=True)
    return Path(given)


def by_entries(root: Path, message: str) -> Path:
    """Copy the entries below [labels]."""
    message = re.sub(r"\(255 = 255 instead.*?\)|\(write 255.*?\)", "", message)
    entries = re.findall(r'("#[0-9a-f]{6}" = \d+|\b\d+ = \d+|others = \d+|nearest = true)', message)
    assert f"under [labels] in {root / 'dataset.toml'}" in message
    (root / "dataset.toml").write_text("[labels]\n" + "\n".join(entries) + "\n")
    return root


def by_drawing(outlines: Callable[[Path, str], list[tuple[int, list[tuple[float, float]]]]]):
    """Masks drawn from what a file of text says, in labels/ beside images/."""

    def apply(root: Path, message: str) -> Path:
        assert "labels/" in message
        source = next(p for p in (root / "images", root / "train", root) if any(p.glob("*.png")))
        if source == root:
            (root / "images").mkdir()
            for path in root.glob("*.png"):
                path.rename(root / "images" / path.name)
        for path in (root / "images").glob("*.png"):
            with Image.open(path) as picture:
                mask = Image.new("L", picture.size)
            for number, points in outlines(root, path.stem):
                ImageDraw.Draw(mask).polygon(points, fill=number)
            (root / "labels").mkdir(exist_ok=True)
            mask.save(root / "labels" / path.name)
        return root

    return apply


def by_saving(root: Path, message: str) -> Path:
    """Pictures and masks saved as PNG where the line says."""
    assert "images/" in message or f"{root / 'images'}" in message
    for path in list(root.rglob("*")):
        if path.is_file() and path.suffix not in (".png", ".toml"):
            path.unlink()
    fill(root / "images", root / "labels")
    return root


# ---------------------------------------------------------------------------------------------
# The folders
# ---------------------------------------------------------------------------------------------
BOX = [(8.0, 8.0), (40.0, 8.0), (40.0, 30.0), (8.0, 30.0)]


def drawn_box(number: int = 1) -> np.ndarray:
    mask = np.zeros((64, 64), np.uint8)
    mask[8:31, 8:41] = number
    return mask


def pictures_only(folder: Path) -> None:
    for stem in STEMS:
        put(folder / f"{stem}.png", photo(stem))


def voc(root: Path) -> Truth:
    truth = fill(root / "JPEGImages", root / "SegmentationClass", STEMS[:3], image=".jpg")
    for stem in STEMS[3:]:
        put(root / "JPEGImages" / f"{stem}.jpg", photo(stem))
    put(root / "SegmentationObject" / "a1.png", ids_of("a1"))
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("a1\na2\n")
    return truth


def cityscapes(root: Path) -> Truth:
    for split, city, stems in (("train", "aachen", STEMS[:3]), ("val", "bonn", STEMS[3:])):
        for stem in stems:
            put(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", photo(stem))
            put(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", ids_of(stem))
            put(root / "gtFine" / split / city / f"{stem}_gtFine_color.png", photo(stem))
    return {stem: ids_of(stem) for stem in STEMS}


def archive(root: Path) -> Truth:
    truth = fill(root / "images", root / "labels")
    with zipfile.ZipFile(root.with_suffix(".zip"), "w") as file:
        for path in sorted(root.rglob("*.png")):
            file.write(path, path.relative_to(root))
    shutil.rmtree(root)
    return truth


def split_below_kind(root: Path) -> Truth:
    fill(root / "images/train", root / "labels/train", STEMS[:3])
    fill(root / "images/val", root / "labels/val", STEMS[3:])
    return {stem: ids_of(stem) for stem in STEMS}


def named_splits(
    first: str, second: str, kinds: tuple[str, str] = ("images", "masks")
) -> Callable[[Path], Truth]:
    def build(root: Path) -> Truth:
        fill(root / first / kinds[0], root / first / kinds[1], STEMS[:3])
        fill(root / second / kinds[0], root / second / kinds[1], STEMS[3:])
        return {stem: ids_of(stem) for stem in STEMS}

    return build


def film(root: Path) -> Truth:
    root.mkdir()
    (root / "run 7.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    return {stem: ids_of(stem) for stem in STEMS}


def dicom(root: Path) -> Truth:
    root.mkdir()
    (root / "IM000001").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 50)
    return {stem: ids_of(stem) for stem in STEMS}


def nifti(root: Path) -> Truth:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
        (root / folder / "brain.nii.gz").write_bytes(b"\x1f\x8b")
    return {stem: ids_of(stem) for stem in STEMS}


def coco(root: Path) -> Truth:
    pictures_only(root / "images")
    outline = [value for point in BOX for value in point]
    numbered = list(enumerate(STEMS))
    (root / "annotations").mkdir()
    (root / "annotations/instances.json").write_text(json.dumps({
        "images": [{"id": i, "file_name": f"{stem}.png", "width": 64, "height": 64} for i, stem in numbered],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [{"image_id": i, "category_id": 1, "segmentation": [outline]} for i, _ in numbered],
    }))  # fmt: skip
    return {stem: drawn_box() for stem in STEMS}


def coco_outlines(root: Path, stem: str):
    table = json.loads((root / "annotations/instances.json").read_text())
    number = next(image["id"] for image in table["images"] if image["file_name"] == f"{stem}.png")
    for annotation in table["annotations"]:
        if annotation["image_id"] == number:
            flat = annotation["segmentation"][0]
            yield annotation["category_id"], list(zip(flat[::2], flat[1::2], strict=True))


def labelme(root: Path) -> Truth:
    pictures_only(root)
    for stem in STEMS:
        shape = {"label": "cell", "points": BOX, "shape_type": "polygon"}
        (root / f"{stem}.json").write_text(json.dumps({"shapes": [shape], "imagePath": f"{stem}.png"}))
    return {stem: drawn_box() for stem in STEMS}


def labelme_outlines(root: Path, stem: str):
    for shape in json.loads((root / f"{stem}.json").read_text())["shapes"]:
        yield 1, [tuple(point) for point in shape["points"]]


def yolo(line: str) -> Callable[[Path], Truth]:
    def build(root: Path) -> Truth:
        pictures_only(root / "images")
        (root / "labels").mkdir()
        for stem in STEMS:
            (root / "labels" / f"{stem}.txt").write_text(line)
        return {stem: drawn_box() for stem in STEMS}

    return build


OUTLINE = "0 " + " ".join(f"{value / 64}" for point in BOX for value in point) + "\n"


def yolo_outlines(root: Path, stem: str):
    for line in (root / "labels" / f"{stem}.txt").read_text().splitlines():
        number, *shares = line.split()
        points = [float(share) * 64 for share in shares]
        yield int(number) + 1, list(zip(points[::2], points[1::2], strict=True))


def box_outlines(root: Path, stem: str):
    yield 1, BOX


def masks(make: Callable[[int], tuple[np.ndarray, np.ndarray]]) -> Callable[[Path], Truth]:
    """images/ and labels/, whose masks were made so: (mask, ids) of a number."""

    def build(root: Path) -> Truth:
        truth = {}
        for number, stem in enumerate(STEMS):
            mask, truth[stem] = make(number)
            put(root / "images" / f"{stem}.png", photo(stem))
            put(root / "labels" / f"{stem}.png", mask)
        return truth

    return build


def painted(*shades: object) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    def make(number: int) -> tuple[np.ndarray, np.ndarray]:
        ids = areas(np.random.default_rng(number), len(shades))
        return np.array(shades, np.uint8)[ids], ids

    return make


def numbered(number: int) -> tuple[np.ndarray, np.ndarray]:
    mask = as_png(objects(number, 20 + number))
    return mask, (mask > 0).astype(np.uint8)


def swapped(root: Path) -> Truth:
    return fill(root / "labels", root / "images")


def by_swapping(root: Path, message: str) -> Path:
    assert "mixed up" in message
    (root / "images").rename(root / "x")
    (root / "labels").rename(root / "images")
    (root / "x").rename(root / "labels")
    return root


def folders(images: str, labels: str) -> Callable[[Path], Truth]:
    return lambda root: fill(root / images, root / labels)
