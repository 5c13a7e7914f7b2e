"""Makes the folder ``kernels/`` importable as ``minidl.kernels``, wherever minidl is imported from.

An installed minidl has the folder inside itself (setup.py puts it there) and nothing is to be done. In a
clone of the repository it lies beside ``minidl/``::

    setup.py
    minidl/_kernels.py     this file
    kernels/__init__.py    to be imported as minidl.kernels, and under no other name

``minidl/__init__.py`` imports this module before anything that needs kernels. It does not import the kernels
themselves; it only tells Python's import system where they are, so that ``import minidl.kernels.reference``
works as in an installed package, and there is one module object for each file.

(``os.path`` and a finder without a base class: ``pathlib`` and ``importlib.abc`` would add a third to the
time of ``import minidl``.)
"""

import os.path
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType

NAME = "minidl.kernels"


class KernelsBesideMinidl:
    """A finder that knows one name: ``minidl.kernels`` is the package in ``folder``.

    Its submodules need no help: Python finds them along the package's ``__path__``, which is ``[folder]``.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Called by the import system for every import that has no module object yet."""
        if fullname != NAME:
            return None
        file = os.path.join(self.folder, "__init__.py")
        return spec_from_file_location(NAME, file, submodule_search_locations=[self.folder])


def register(package: str) -> None:
    """Register the finder if ``package`` (the folder minidl/) has no kernels inside but has them beside it.

    Raises:
        ImportError: if they are in neither place.
    """
    if os.path.isfile(os.path.join(package, "kernels", "__init__.py")):
        return
    folder = os.path.join(os.path.dirname(package), "kernels")
    if not os.path.isfile(os.path.join(folder, "__init__.py")):
        raise ImportError(
            f"minidl is incomplete: its folder kernels/ is neither in {package} nor beside it;"
            " install minidl again, or import it from a complete clone",
            name=NAME,
        )
    # First in line: were another clone installed as editable, its finder would offer that clone's kernels.
    sys.meta_path.insert(0, KernelsBesideMinidl(folder))


register(os.path.dirname(os.path.abspath(__file__)))
