"""The operations under torch's other name: ``import minidl.nn.functional as F``."""

from minidl.ops import *  # noqa: F403
from minidl.ops import __all__ as __all__
