"""Folders that are arranged for other programs: what lies where, and the commands that make a data set of it.

Every folder with pictures is taken for images or masks of a split by the names of the folders on the way to
it (`minidl.segmentation.folder_names`). From this follow the moves; nothing is moved here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minidl._text import listed
from minidl.errors import InputError
from minidl.segmentation.folder_names import quoted, role
from minidl.segmentation.foreign_files import Listing, foreign_files
from minidl.segmentation.pairing import without_ending

#: Folders within folders, and folders in all, that are looked at.
_DEEP, _FOLDERS = 4, 300


@dataclass(frozen=True)
class _Place:
    """A folder with pictures: what is above all names that say something, and what those say."""

    listing: Listing
    base: Path
    split: str | None
    kind: str | None


def explained(error: InputError, root: Path) -> InputError:
    """The error, or one that says for which program the folder was arranged, if that can be told."""
    everything = list(_walk(root))
    for look in (_voc, _cityscapes):
        for listing in everything:
            if (found := look(listing)) is not None:
                return InputError(f"{root}: {found}{_then(root, listing.path)}")
    places = [place for listing in everything if (place := _place(root, listing))]
    for base in dict.fromkeys(place.base for place in places):
        found = _moves(base, [place for place in places if place.base == base])
        if found is not None and (found or base != root):
            what = found or "a data set, but deeper"
            return InputError(f"{root}: {what}{_then(root, base) if found else f'; give {quoted(base)}'}")
    for listing in everything:
        if (found := _side_by_side(listing)) is not None:
            base = listing.path.parent if listing.path.name == "images" else listing.path
            return InputError(f"{root}: {found}{_then(root, base)}")
    if root.name in ("images", "labels", "masks") and (root.absolute().parent / "images").is_dir():
        return InputError(f"{root}: a folder within a data set; give {quoted(root.absolute().parent)}")
    # Where there are masks, files of other kinds beside them are not what is wrong.
    found = None if any(place.kind == "labels" for place in places) else foreign_files(everything)
    return error if found is None else InputError(f"{root}: {found}")


def _then(root: Path, base: Path) -> str:
    return "" if base == root else f" # and give {quoted(base)}"


def _commands(base: Path, commands: list[str]) -> str:
    """One command for a shell, to be copied as it is."""
    return f"(cd {quoted(base)} && {' && '.join(dict.fromkeys(commands))})"


def _walk(root: Path) -> Iterator[Listing]:
    """Folders with what is in them, those nearer to ``root`` first."""
    left, seen = [(root, 0)], 0
    while left and seen < _FOLDERS:
        path, depth = left.pop(0)
        listing = Listing.of(path)
        seen += 1
        yield listing
        if depth < _DEEP:
            left += [(path / name, depth + 1) for name in listing.folders if not (path / name).is_symlink()]


def _place(root: Path, listing: Listing) -> _Place | None:
    """What a folder with pictures holds, None if there are none or a name on the way to it says nothing."""
    if not listing.pictures:
        return None
    base, split, kind = root, None, None
    for name in listing.path.relative_to(root).parts:
        new_split, new_kind = role(name)
        if new_split is new_kind is None:
            if split or kind:
                return None
            base = base / name
        elif (new_split and split) or (new_kind and kind):
            return None
        else:
            split, kind = new_split or split, new_kind or kind
    return _Place(listing, base, split, kind)


def _moves(base: Path, places: list[_Place]) -> str | None:
    """What lies where, and the commands; "" if all is well; None if images and masks cannot be told apart."""
    found: dict[tuple[str | None, str | None], Listing]
    found = {(place.split, place.kind): place.listing for place in places}
    if len(found) < len(places):
        return None
    for split in [split for split, kind in found if kind is None]:  # directly in train/: the images
        if (split, "images") in found:
            return None
        found[split, "images"] = found.pop((split, None))
    if any(split for split, _ in found):  # never both layouts at once
        if found.keys() & {("train", kind) for split, kind in found if split is None}:
            return None
        found = {(split or "train", kind): listing for (split, kind), listing in found.items()}
    if not any(kind == "labels" and (split, "images") in found for split, kind in found):
        return None
    commands: list[str] = []
    for (split, kind), listing in found.items():
        moves = _move(base, listing, base / (split or ""), str(kind))
        if moves is None:
            return None
        commands += moves
    if not commands:
        return ""
    moved = {listing.path for listing in found.values()}
    left = [
        path for path in sorted({path.parent for path in moved}) if path != base and _emptied(path, moved)
    ]
    commands += [f"rmdir {_short(base, path)}" for path in left]
    images, masks = (
        listed(_name(base, listing) for (_, k), listing in found.items() if k == kind)
        for kind in ("images", "labels")
    )
    return f"images in {images}, masks in {masks}; arrange them by {_commands(base, commands)}"


def _short(base: Path, path: Path) -> str:
    """A path below ``base``, as part of a command that runs there."""
    below = path.relative_to(base).as_posix()
    return quoted(Path(below)) if not below.startswith("-") else f"./{quoted(Path(below))}"


def _name(base: Path, listing: Listing) -> str:
    return "the folder itself" if listing.path == base else f"{listing.path.relative_to(base).as_posix()}/"


def _move(base: Path, listing: Listing, folder: Path, kind: str) -> list[str] | None:
    """Commands that bring a folder's pictures to where they are looked for; None if something is there."""
    target, source = folder / kind, listing.path
    if source == target or (kind == "labels" and source == folder / "masks"):
        return []
    there = _short(base, target)
    if source == folder:  # pictures beside folders
        return [f"mkdir -p {there}", f"mv {_globs(base, listing, listing.pictures)} {there}/"]
    if target.exists() and not target.samefile(source):
        return None
    made = [] if folder.is_dir() else [f"mkdir -p {_short(base, folder)}"]
    return [*made, f"mv {_short(base, source)} {there}"]


def _globs(base: Path, listing: Listing, names: list[str], ending: str = "") -> str:
    where = "" if listing.path == base else f"{_short(base, listing.path)}/"
    return " ".join(f"{where}*{ending}{suffix}" for suffix in dict.fromkeys(Path(n).suffix for n in names))


def _emptied(path: Path, moved: set[Path]) -> bool:
    """Whether nothing is left in a folder that would be in the way: images/ beside train/."""
    listing = Listing.of(path)
    inside = {path / name for name in listing.folders}
    return path not in moved and not listing.files and bool(inside) and inside <= moved


def _side_by_side(listing: Listing) -> str | None:
    """x.png and x_mask.png in one folder."""
    stems = {Path(name).stem for name in listing.pictures}
    masks = [
        name for name in listing.pictures if without_ending(Path(name).stem) in stems - {Path(name).stem}
    ]
    if not masks or len(masks) < len(stems) / 4:
        return None
    first = Path(masks[0])
    ending = first.stem[len(without_ending(first.stem)) :]
    base = listing.path.parent if listing.path.name == "images" else listing.path
    commands = ["mkdir -p images labels", f"mv {_globs(base, listing, masks, ending)} labels/"]
    if listing.path == base:
        rest = [name for name in listing.pictures if name not in masks]
        commands.append(f"mv {_globs(base, listing, rest)} images/")
    return f"images and masks ({first.name}) side by side; part them by {_commands(base, commands)}"


def _voc(listing: Listing) -> str | None:
    """Pascal VOC has more pictures than masks."""
    if not {"JPEGImages", "SegmentationClass"} <= {*listing.folders}:
        return None
    loop = 'for m in SegmentationClass/*.png; do mv "JPEGImages/$(basename "$m" .png).jpg" images/; done'
    run = _commands(listing.path, ["mkdir -p images", loop, "mv SegmentationClass labels"])
    return f"a data set of Pascal VOC; take the pictures that have masks by {run}"


def _cityscapes(listing: Listing) -> str | None:
    """Cityscapes has a folder for each city, and several masks of each picture."""
    path = listing.path
    if not {"leftImg8bit", "gtFine"} <= {*listing.folders}:
        return None
    splits = [split for split in ("train", "val") if (path / "gtFine" / split).is_dir()]
    cities = [city for split in splits for city in (path / "gtFine" / split).iterdir()]
    trained = any(Listing.of(city).ending("_labeltrainids.png") for city in cities)
    end = f"_gtFine_{'labelTrainIds' if trained else 'labelIds'}.png"
    loop = (
        f"for s in {' '.join(splits)}; do mkdir -p $s/images $s/labels; for m in gtFine/$s/*/*{end}; do"
        f' b=$(basename "$m" {end}); mv leftImg8bit/$s/*/"$b"_leftImg8bit.png $s/images/"$b".png;'
        ' mv "$m" $s/labels/"$b".png; done; done'
    )
    ids = "19 classes, and 255 for no label" if trained else "ids 0 to 33"
    return f"a data set of Cityscapes; take the masks of ids ({ids}) by {_commands(path, [loop])}"
