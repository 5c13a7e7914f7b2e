"""minidl: a deep-learning engine for image segmentation, written to be read.

>>> import minidl
>>> x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
>>> y = (x @ x).relu().sum()
>>> y.backward()
>>> x.grad
tensor([[ 7., 11.],
        [ 9., 13.]])
"""

from minidl import _breaks as _breaks  # first of all: what Ctrl-C does from here on

# isort: split
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from minidl import _collector as _collector  # before anything large
from minidl import _kernels as _kernels  # first: it makes minidl.kernels importable in a clone
from minidl import autograd, dispatch, random
from minidl._device import Device as device
from minidl._factories import arange, from_dlpack, full, ones, ones_like, zeros, zeros_like
from minidl._tensor import Tensor, tensor
from minidl.autograd import Function, is_grad_enabled, no_grad
from minidl.dispatch import get_num_threads, set_num_threads, use
from minidl.random import Generator, manual_seed

if TYPE_CHECKING:
    from minidl import cuda, errors, models, nn, ops, optim, segmentation, testing, train
    from minidl._gradcheck import GradcheckError, gradcheck, gradgradcheck
    from minidl.nn.fused import fuse
    from minidl.ops.cat import cat

__version__ = "0.1.0"

__all__ = [
    "Function",
    "Generator",
    "GradcheckError",
    "Tensor",
    "arange",
    "autograd",
    "cat",
    "cuda",
    "device",
    "dispatch",
    "errors",
    "from_dlpack",
    "full",
    "fuse",
    "get_num_threads",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "manual_seed",
    "models",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "ops",
    "optim",
    "random",
    "segmentation",
    "set_num_threads",
    "tensor",
    "testing",
    "train",
    "use",
    "zeros",
    "zeros_like",
]

#: Imported when first named, so that ``import minidl`` stays nearly as quick as importing NumPy.
_LAZY = ("cuda", "errors", "models", "nn", "ops", "optim", "segmentation", "testing", "train")
#: The same for functions, and the modules that they are in.
_LAZY_IN = {
    "GradcheckError": "minidl._gradcheck",
    "cat": "minidl.ops",
    "fuse": "minidl.nn.fused",
    "gradcheck": "minidl._gradcheck",
    "gradgradcheck": "minidl._gradcheck",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY_IN:
        globals()[name] = found = getattr(_import_module(_LAZY_IN[name]), name)
        return found
    if name in _LAZY:
        return _import_module(f"minidl.{name}")
    raise AttributeError(f"module 'minidl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_collector.resume()
