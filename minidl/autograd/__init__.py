"""The tape: what ran, in which order, and how to walk back over it.

Every differentiable operation is a :class:`Function`: a ``forward`` that maps arrays to an array, and beside
it the ``backward`` that maps the cotangent of the output (the gradient of the final scalar with respect to
it) to the cotangents of the inputs. ``Function.apply`` runs the forward and leaves a :class:`Node` behind, if
any input requires a gradient. The nodes form a directed acyclic graph from the result to the leaves.

To read it: ``function.py`` (what an operation is), ``node.py`` (what it leaves behind), ``walk.py`` (how
gradients are computed from that) with ``ends.py`` (where a walk begins and ends); then ``recompute.py``
(activation checkpointing: memory for time) and ``anomaly.py`` (who made the first NaN).
"""

from minidl.autograd.anomaly import detect_anomaly
from minidl.autograd.function import Function, watch
from minidl.autograd.grad_mode import enable_grad, is_grad_enabled, no_grad
from minidl.autograd.node import Node
from minidl.autograd.recompute import checkpoint, is_recomputing
from minidl.autograd.walk import backward, grad

__all__ = [
    "Function",
    "Node",
    "backward",
    "checkpoint",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "is_recomputing",
    "no_grad",
    "watch",
]
