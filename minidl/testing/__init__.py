"""Is my operation right? The checks that every operation of this library passes, for one of your own.

>>> import numpy as np
>>> import minidl
>>> from minidl.testing import check_op
>>> x = np.random.default_rng(0).normal(size=(2, 3))
>>> print(check_op(lambda x: x * x, np.square, x).table(worst=False))
mul: 9 checks passed
  check                     cases
  forward                       1
  oracle's slopes               5
  gradcheck                     2
  same bits twice               1
  memory orders                 6
  float32                       2
  second order                  2
  zero-size                     1
  one pixel                     1

:func:`check_op` is the one call; :func:`check_property` makes it at drawn shapes. The parts are here too:
``op.py`` (the order of the checks), ``single.py`` (one function for each), ``differences.py`` (slopes of an
oracle), ``arrays.py`` (tolerances, memory orders), ``report.py`` (what was found). ``docs/own-op.md`` is the
lesson.
"""

from minidl.testing.arrays import (
    channels_last,
    cotangent_for,
    fortran,
    leaf,
    memory_orders,
    reversed_axes,
    size_of,
    sliced,
    tolerance,
    values,
)
from minidl.testing.differences import central_difference, check_directions
from minidl.testing.drawn import check_property, separated
from minidl.testing.op import check_op
from minidl.testing.report import Check, Report
from minidl.testing.single import check_adjoint, check_float32, check_memory_orders, run

__all__ = [
    "Check",
    "Report",
    "central_difference",
    "channels_last",
    "check_adjoint",
    "check_directions",
    "check_float32",
    "check_memory_orders",
    "check_op",
    "check_property",
    "cotangent_for",
    "fortran",
    "leaf",
    "memory_orders",
    "reversed_axes",
    "run",
    "separated",
    "size_of",
    "sliced",
    "tolerance",
    "values",
]
