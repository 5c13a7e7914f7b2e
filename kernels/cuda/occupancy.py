"""Theoretical occupancy: how many warps of a kernel a multiprocessor can hold, as a share of the most it can.

A multiprocessor hides the time that memory takes by switching between warps, so it matters how many fit. They
share its registers, its shared memory and its slots for blocks; the scarcest of these decides. The limits are
NVIDIA's published ones ("Technical specifications per compute capability" in the CUDA programming guide).
"""

from __future__ import annotations

from typing import NamedTuple

WARP = 32
REGISTERS = 65536  #: 32-bit registers of a multiprocessor, the same for all architectures here
REGISTER_UNIT = 256  #: a warp gets its registers in multiples of that
WARP_UNIT = 4  #: warps are dealt to four schedulers with a quarter of the registers each


class Limits(NamedTuple):
    """What one multiprocessor holds."""

    warps: int
    blocks: int
    shared: int  #: bytes of shared memory for all blocks together
    reserved: int  #: bytes that the system takes of that for each block
    shared_unit: int  #: a block gets its shared memory in multiples of that


LIMITS = {
    70: Limits(64, 32, 96 * 1024, 0, 256),
    75: Limits(32, 16, 64 * 1024, 0, 256),
    80: Limits(64, 32, 164 * 1024, 1024, 128),
    86: Limits(48, 16, 100 * 1024, 1024, 128),
    89: Limits(48, 24, 100 * 1024, 1024, 128),
    90: Limits(64, 32, 228 * 1024, 1024, 128),
    100: Limits(64, 32, 228 * 1024, 1024, 128),
    120: Limits(48, 24, 100 * 1024, 1024, 128),
}


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def blocks_per_multiprocessor(architecture: int, threads: int, registers: int, shared: int) -> int:
    """How many blocks fit.

    Args:
        architecture: compute capability, e.g. 80.
        threads: of a block.
        registers: of a thread.
        shared: bytes of a block.

    >>> blocks_per_multiprocessor(80, threads=256, registers=128, shared=0)         # registers decide
    2
    >>> blocks_per_multiprocessor(80, threads=256, registers=32, shared=40 * 1024)  # shared memory does
    4
    """
    limits = LIMITS[architecture]
    warps = _up(threads, WARP) // WARP
    by_registers = REGISTERS // _up(max(registers, 1) * WARP, REGISTER_UNIT) // WARP_UNIT * WARP_UNIT // warps
    taken = _up(shared, limits.shared_unit) + limits.reserved
    by_shared = limits.shared // taken if taken else limits.blocks
    return min(limits.blocks, limits.warps // warps, by_registers, by_shared)


def occupancy(architecture: int, threads: int, registers: int, shared: int) -> float:
    """The share of the warp slots that are filled, between 0 and 1.

    >>> occupancy(75, threads=256, registers=64, shared=0)
    1.0
    >>> occupancy(86, threads=256, registers=128, shared=0)                         # 16 of 48 warps
    0.3333333333333333
    """
    warps = _up(threads, WARP) // WARP
    return (
        blocks_per_multiprocessor(architecture, threads, registers, shared)
        * warps
        / LIMITS[architecture].warps
    )
