"""Layers and networks with torch's names; what they compute is in :mod:`minidl.ops`."""

from minidl.nn import functional, init
from minidl.nn.containers import ModuleList, Sequential
from minidl.nn.layers import BatchNorm2d, Conv2d, ConvTranspose2d, GroupNorm, Linear
from minidl.nn.module import Module, Parameter
from minidl.nn.stateless import (
    AvgPool2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Identity,
    L1Loss,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
)
from minidl.nn.summary import Summary, summary

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "GroupNorm",
    "Identity",
    "L1Loss",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Summary",
    "Tanh",
    "Upsample",
    "functional",
    "init",
    "summary",
]
