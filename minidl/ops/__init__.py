"""Every differentiable operation, with torch's names and argument order.

Each has a file of its own: notation, equation, shape rule, forward, backward, the public function.

To read how an operation works, open the file of its name: ``minidl/ops/conv2d.py``. The functions below hide
the modules they come from (``minidl.ops.conv2d`` is the function); code that needs more of a module says
``from minidl.ops.conv2d import Conv2d``.
"""

import sys as _sys

from minidl import _methods, _operators, _placement
from minidl.ops.absolute import abs, sign
from minidl.ops.activations import hardswish, relu, sigmoid, silu, tanh
from minidl.ops.adaptive_avg_pool2d import adaptive_avg_pool2d
from minidl.ops.arithmetic import add, cast, div, mul, neg, sub
from minidl.ops.avg_pool2d import avg_pool2d
from minidl.ops.batch_norm import batch_norm
from minidl.ops.binary_cross_entropy_with_logits import binary_cross_entropy_with_logits
from minidl.ops.cat import cat, chunk, split, stack
from minidl.ops.clamp import clamp, clip
from minidl.ops.clone import clone
from minidl.ops.comparison import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_not,
    lt,
    ne,
)
from minidl.ops.conv2d import conv2d
from minidl.ops.conv_transpose2d import conv_transpose2d
from minidl.ops.convolve2d import convolve2d
from minidl.ops.cross_entropy import cross_entropy
from minidl.ops.diagonal import diagonal
from minidl.ops.dropout import dropout, dropout2d
from minidl.ops.einsum import einsum
from minidl.ops.elu import elu
from minidl.ops.expand import expand
from minidl.ops.exponential import exp, log, rsqrt, sqrt
from minidl.ops.extrema import amax, amin, argmax, argmin, max, min
from minidl.ops.fused_conv2d import fused_conv2d
from minidl.ops.gather import gather, scatter_add
from minidl.ops.gelu import gelu
from minidl.ops.group_norm import group_norm
from minidl.ops.indexing import getitem
from minidl.ops.instance_norm import instance_norm
from minidl.ops.interpolate import interpolate
from minidl.ops.kl_div import kl_div
from minidl.ops.l1_loss import l1_loss
from minidl.ops.layer_norm import layer_norm
from minidl.ops.leaky_relu import leaky_relu, prelu
from minidl.ops.linear import linear
from minidl.ops.matmul import matmul
from minidl.ops.max_pool2d import max_pool2d
from minidl.ops.max_unpool2d import max_unpool2d
from minidl.ops.maximum import maximum, minimum
from minidl.ops.movement import flatten, flip, permute, reshape, squeeze, transpose, unsqueeze
from minidl.ops.mse_loss import mse_loss
from minidl.ops.nll_loss import nll_loss
from minidl.ops.pad import pad
from minidl.ops.pow import pow
from minidl.ops.reductions import mean, std, sum, var
from minidl.ops.smooth_l1_loss import smooth_l1_loss
from minidl.ops.softmax import log_softmax, softmax
from minidl.ops.softplus import softplus
from minidl.ops.sorting import argsort, sort, topk
from minidl.ops.to_device import to_device as to_device  # what Tensor.to calls, as torch has it
from minidl.ops.unfold import fold, unfold
from minidl.ops.where import where

__all__ = [
    "abs",
    "adaptive_avg_pool2d",
    "add",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "argsort",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "cast",
    "cat",
    "chunk",
    "clamp",
    "clip",
    "clone",
    "conv2d",
    "conv_transpose2d",
    "convolve2d",
    "cross_entropy",
    "diagonal",
    "div",
    "dropout",
    "dropout2d",
    "einsum",
    "elu",
    "eq",
    "exp",
    "expand",
    "flatten",
    "flip",
    "fold",
    "fused_conv2d",
    "gather",
    "ge",
    "gelu",
    "getitem",
    "group_norm",
    "gt",
    "hardswish",
    "instance_norm",
    "interpolate",
    "isfinite",
    "isinf",
    "isnan",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "le",
    "leaky_relu",
    "linear",
    "log",
    "log_softmax",
    "logical_not",
    "lt",
    "matmul",
    "max",
    "max_pool2d",
    "max_unpool2d",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mse_loss",
    "mul",
    "ne",
    "neg",
    "nll_loss",
    "pad",
    "permute",
    "pow",
    "prelu",
    "relu",
    "reshape",
    "rsqrt",
    "scatter_add",
    "sigmoid",
    "sign",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "sort",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "tanh",
    "topk",
    "transpose",
    "unfold",
    "unsqueeze",
    "var",
    "where",
]

# Tensor's operators and methods forward to the functions here. From now on without a detour through
# _operators.Operations.
_operators.ops = _methods.ops = _placement.ops = _sys.modules[__name__]
