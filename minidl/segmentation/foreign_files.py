"""Files of other programs that lie where pictures should: what they are, and what makes pictures of them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from minidl._text import shown
from minidl.segmentation.files import IMAGE_SUFFIXES
from minidl.segmentation.folder_names import quoted

#: Folders that nobody made.
_HIDDEN = ("__MACOSX",)
#: Bytes at each end of a file that are looked at, and files of a folder.
_ENDS, _LOOKED = 2**16, 20

_FILMS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_VOLUMES = {
    "DICOM": ((".dcm", ".dicom", ".ima"), "dcmj2pnm +on2 FILE.dcm FILE.png makes a 16-bit PNG of each slice"),
    "NIfTI": ((".nii", ".nii.gz"), "nibabel.load(FILE).get_fdata() has the volume"),
    "MetaImage": ((".mha", ".mhd"), "SimpleITK.ReadImage(FILE) has the volume"),
    "NRRD": ((".nrrd", ".nhdr"), "SimpleITK.ReadImage(FILE) has the volume"),
    "NumPy": ((".npy", ".npz"), "numpy.load(FILE) has the arrays"),
    "HDF5": ((".h5", ".hdf5"), "h5py.File(FILE) has the arrays"),
    "microscope": ((".czi", ".lif", ".nd2", ".lsm", ".oib", ".oif"), "Fiji opens them and saves PNG or TIFF"),
    "slide": ((".svs", ".ndpi", ".mrxs"), "OpenSlide reads them; cut out pieces"),
    "raw camera": ((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf"), "develop them to PNG or TIFF"),
    "HEIF": ((".heic", ".heif", ".avif"), "save them as PNG or JPEG"),
}


@dataclass(frozen=True)
class Listing:
    """What lies directly in a folder, by name."""

    path: Path
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path) -> Listing:
        """Of a folder that cannot be read, or is none, nothing."""
        try:
            entries = sorted(path.iterdir())
        except OSError:
            return cls(path)
        there = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _HIDDEN]
        folders = tuple(entry.name for entry in there if entry.is_dir())
        return cls(path, folders, tuple(e.name for e in there if e.name not in folders and _is_regular(e)))

    def ending(self, *endings: str) -> list[str]:
        """Files whose names end so."""
        return [name for name in self.files if name.lower().endswith(endings)]

    @property
    def pictures(self) -> list[str]:
        """Files that are called as pictures are."""
        return [name for name in self.files if Path(name).suffix.lower() in IMAGE_SUFFIXES]


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def file_given(path: Path) -> str | None:
    """What to give instead of a file, where a folder is needed; None if the file says nothing."""
    name = path.name.lower()
    if name.endswith(_ARCHIVES) or _begins(path, b"PK\3\4", b"7z\xbc\xaf", b"Rar!"):
        folder = path.with_name(re.sub(r"(\.tar)?\.[^.]+$", "", path.name) or "data")
        if name.endswith((".7z", ".rar")):
            return f"an archive, not a folder; unpack it into {quoted(folder)}, and give that"
        module = "tarfile" if ".t" in name[-8:] else "zipfile"
        command = f"python -m {module} -e {quoted(path)} {quoted(folder)}"
        return f"an archive, not a folder; give {quoted(folder)} after unpacking it by {command}"
    if name.endswith(_FILMS):
        return _film(path, path.with_suffix(""))
    found = _volumes(Listing(path.parent, (), (path.name,)))
    if found is not None:
        return found
    if path.suffix.lower() in IMAGE_SUFFIXES:
        above = path.absolute().parent
        if above.name in ("images", "labels", "masks"):
            return f"a single picture, not a folder; give {quoted(above.parent)}"
        return (
            "a single picture, not a folder; give the folder that holds images/ and labels/ with the pictures"
            " and their masks (for the mask of one picture there is minidl predict)"
        )
    return None


def _begins(path: Path, *starts: bytes) -> bool:
    return _ends(path)[:8].startswith(starts) if _is_regular(path) else False


def _ends(path: Path) -> bytes:
    """The first and the last bytes of a file."""
    try:
        with open(path, "rb") as file:
            first = file.read(_ENDS)
            size = os.fstat(file.fileno()).st_size
            if size > _ENDS:
                file.seek(max(_ENDS, size - _ENDS))
                first += b"\n" + file.read(_ENDS)
            return first
    except OSError:
        return b""


def foreign_files(listings: Iterable[Listing]) -> str | None:
    """What the files in some folders of a data set are; None if they are nothing that is known.

    >>> print(foreign_files([Listing(Path("cells"), (), ("a.nii.gz",))]).split(";")[0])
    NIfTI files (cells/a.nii.gz), which are not read
    """
    for listing in listings:
        if films := listing.ending(*_FILMS):
            below = listing.path.parent if listing.path.name == "images" else listing.path
            return _film(listing.path / films[0], below)
        for look in (_volumes, _annotations, _archives):
            if (found := look(listing)) is not None:
                return found
    return None


def _film(film: Path, folder: Path) -> str:
    images = folder / "images"
    return (
        f"a film ({shown(film)}), and masks are of pictures; put a mask of each picture into"
        f" {quoted(folder / 'labels')}, and take the pictures out by mkdir -p {quoted(images)} &&"
        f" ffmpeg -i {quoted(film)} {quoted(images / '%06d.png')}"
    )


def _volumes(listing: Listing) -> str | None:
    for kind, (endings, how) in _VOLUMES.items():
        if names := listing.ending(*endings):
            return _as_pictures(kind, listing.path / names[0], how)
    for name in listing.files[:_LOOKED]:  # scanners call DICOM files anything
        if _ends(listing.path / name)[128:132] == b"DICM":
            return _as_pictures("DICOM", listing.path / name, _VOLUMES["DICOM"][1])
    return None


def _as_pictures(kind: str, path: Path, how: str) -> str:
    return (
        f"{kind} files ({shown(path)}), which are not read; save each picture or slice as PNG in images/, and"
        f" its mask, with class ids as values, under the same name in labels/ ({how})"
    )


def _archives(listing: Listing) -> str | None:
    names = listing.ending(*_ARCHIVES)
    return file_given(listing.path / names[0]) if names and not listing.pictures else None


def _annotations(listing: Listing) -> str | None:
    """Outlines and boxes in files of text: masks have to be drawn from them."""
    for name in listing.ending(".json")[:_LOOKED]:
        path = listing.path / name
        text = _ends(path)
        if b'"annotations"' in text and (b'"categories"' in text or b'"images"' in text):
            return _drawn("annotations of COCO", path, "pycocotools.coco.COCO(FILE).annToMask(annotation)")
        if b'"shapes"' in text and (b'"imagePath"' in text or b'"imageHeight"' in text):
            return _drawn("outlines of LabelMe", path, "labelme2voc.py of LabelMe writes SegmentationClass/")
    for name in listing.ending(".xml")[:_LOOKED]:
        if b"<bndbox>" in _ends(listing.path / name):
            return _boxes("Pascal VOC", listing.path / name)
    for name in listing.ending(".txt")[:_LOOKED]:
        lines = _ends(listing.path / name).decode("utf-8", "replace").splitlines()[:_LOOKED]
        numbers = [line.split() for line in lines if line.strip()]
        if numbers and all(re.fullmatch(r"\d+( [\d.e+-]+){4,}", " ".join(row)) for row in numbers):
            if all(len(row) == 5 for row in numbers):
                return _boxes("YOLO", listing.path / name)
            how = "PIL.ImageDraw.Draw(mask).polygon(...) draws an outline of shares of width and height"
            return _drawn("outlines of YOLO", listing.path / name, how)
    return None


def _drawn(kind: str, path: Path, how: str) -> str:
    return (
        f"{kind} ({shown(path)}), where masks are needed; draw for each picture a mask in which every pixel"
        f" has its class id, and save it as PNG of the same name in labels/ ({how})"
    )


def _boxes(kind: str, path: Path) -> str:
    return (
        f"boxes of {kind} ({shown(path)}), which do not say which pixels belong to an object; draw masks in a"
        " program for segmentation (such as CVAT or LabelMe), saved as PNG of the same names in labels/"
    )
