"""What things cost on one core: the constants of the planner's model (``plan.py``), for each kind of CPU.

They are in ``rates.json``, by LLVM's name of the CPU, fitted there to measurements by ``python
benchmarks/planner.py --fit``. A CPU that nobody has fitted takes those of ``"default"``, an Intel Xeon with
AVX-512: they are off by one factor or another, but the order of the algorithms changes little.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from llvmlite import binding
from numba.core import config

FILE = Path(__file__).with_suffix(".json")
DEFAULT = "default"


class Rates(NamedTuple):
    """One core's speed at this and that, for float32."""

    products: float  #: operations a second in the tall tiles of sums
    narrow: float  #: of that, in tiles of one vector
    low: float  #: of that, in low tiles
    few: float  #: of that, in dot products for few outputs
    weights: float  #: of that, where the sum goes over pixels
    winograd: float  #: of that, in the products between Winograd's transforms
    transforms: float  #: bytes of transformed tiles
    back: float  #: bytes of tiles that are transformed back into results
    columns: float  #: bytes of columns, written and read
    column: float  #: seconds for each tap of each pixel among the columns
    copies: float  #: bytes of pictures, read or written
    packing: float  #: bytes of weights, brought into the order of the products or back
    depthwise: float  #: operations a second, a tap at a time
    tile: float  #: seconds for each tile
    call: float  #: seconds for each call of compiled code on all threads


def cpu_name() -> str:
    """LLVM's name of the CPU that code is generated for, such as "znver4"."""
    return str(config.CPU_NAME or binding.get_host_cpu_name())


def rates_of(name: str) -> Rates:
    """Those fitted to this kind of CPU, or the default.

    >>> rates_of("a CPU from the future") == rates_of(DEFAULT)
    True
    """
    fitted = json.loads(FILE.read_text(encoding="utf-8"))
    return Rates(**fitted.get(name, fitted[DEFAULT]))


#: Of this machine.
RATES = rates_of(cpu_name())
