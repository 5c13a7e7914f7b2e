"""Every differentiable operation, with torch's names and argument order.

Each has a file of its own: notation, equation, shape rule, forward, backward, the public function.

To read how an operation works, open the file of its name: ``minidl/ops/conv2d.py``. The functions below hide
the modules they come from (``minidl.ops.conv2d`` is the function); code that needs more of a module says
``from minidl.ops.conv2d import Conv2d``.
"""

import sys as _sys

from minidl import _operators
from minidl.ops.activations import relu, sigmoid, tanh
from minidl.ops.arithmetic import add, cast, div, mul, neg, pow, sub
from minidl.ops.avg_pool2d import avg_pool2d
from minidl.ops.batch_norm import batch_norm
from minidl.ops.cat import cat
from minidl.ops.conv2d import conv2d
from minidl.ops.conv_transpose2d import conv_transpose2d
from minidl.ops.cross_entropy import cross_entropy
from minidl.ops.dropout import dropout
from minidl.ops.exponential import exp, log
from minidl.ops.group_norm import group_norm
from minidl.ops.interpolate import interpolate
from minidl.ops.l1_loss import l1_loss
from minidl.ops.linear import linear
from minidl.ops.matmul import matmul
from minidl.ops.max_pool2d import max_pool2d
from minidl.ops.movement import flatten, getitem, permute, reshape, transpose
from minidl.ops.pad import pad
from minidl.ops.reductions import max, mean, sum
from minidl.ops.softmax import log_softmax, softmax
from minidl.ops.unfold import fold, unfold

__all__ = [
    "add",
    "avg_pool2d",
    "batch_norm",
    "cast",
    "cat",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "div",
    "dropout",
    "exp",
    "flatten",
    "fold",
    "getitem",
    "group_norm",
    "interpolate",
    "l1_loss",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "max_pool2d",
    "mean",
    "mul",
    "neg",
    "pad",
    "permute",
    "pow",
    "relu",
    "reshape",
    "sigmoid",
    "softmax",
    "sub",
    "sum",
    "tanh",
    "transpose",
    "unfold",
]

# Tensor's operators and methods forward to the functions here; their module cannot import them itself, since
# the operations need tensors first.
_operators.ops = _sys.modules[__name__]
