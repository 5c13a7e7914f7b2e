"""GPUs that are not here: what their data sheets say, and what follows from it. Predictions, not measured.

A kernel cannot be faster than its FLOPs at the highest rate of the card, nor, if it moves each array between
memory and processor, than its least bytes at the bandwidth of the memory. That is a *bound*; how near one
comes to it is what only a GPU can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from minidl.bench.costs import Cost

#: Stands over, or beside, everything that is computed from the table.
LABEL = "prediction, not measured"


class Card(NamedTuple):
    """What a data sheet says.

    Attributes:
        name: as in the tables.
        architecture: its compute capability.
        flops: highest rate in float32 without tensor cores, in FLOP/s.
        bandwidth: of its memory, in bytes/s.
        source: where NVIDIA says so.
        known_as: how the name begins that the driver gives the card.
    """

    name: str
    architecture: int
    flops: float
    bandwidth: float
    source: str
    known_as: str

    def bound(self, least: Cost, products: float = 1.0) -> float:
        """Seconds that something cannot be faster than.

        Args:
            least: its FLOPs and bytes.
            products: the share of the FLOPs that an algorithm needs.
        """
        return max(products * least.flops / self.flops, least.bytes / self.bandwidth)


#: Of each architecture for which the kernels are compiled one card, of some two.
CARDS = (
    Card("V100 SXM2", 70, 15.7e12, 900e9, "V100 datasheet", "V100-SXM2"),
    Card("T4", 75, 8.1e12, 320e9, "T4 datasheet", "T4"),
    Card("A100 SXM 80GB", 80, 19.5e12, 2039e9, "A100 80GB datasheet", "A100-SXM4-80GB"),
    Card("RTX 3090", 86, 35.6e12, 936e9, "Ampere GA102 architecture whitepaper", "RTX 3090"),
    Card("A10", 86, 31.2e12, 600e9, "A10 datasheet", "A10"),
    Card("L4", 89, 30.3e12, 300e9, "L4 datasheet", "L4"),
    Card("RTX 4090", 89, 82.6e12, 1008e9, "Ada GPU architecture whitepaper", "RTX 4090"),
    Card("H100 SXM", 90, 67e12, 3350e9, "H100 datasheet", "H100 80GB HBM3"),
    Card("B200", 100, 80e12, 8000e9, "Blackwell architecture technical brief", "B200"),
    Card("RTX 5090", 120, 104.8e12, 1792e9, "RTX Blackwell architecture whitepaper", "RTX 5090"),
)


def card_named(name: str) -> Card | None:
    """The card of the table that a driver's name means.

    Args:
        name: as the driver gives it.

    >>> card_named("Tesla V100-SXM2-32GB").name, card_named("NVIDIA A10").name
    ('V100 SXM2', 'A10')
    >>> card_named("NVIDIA L40S"), card_named("NVIDIA GeForce RTX 4090 D")
    (None, None)
    """
    words = " ".join(word for word in name.split() if word not in ("NVIDIA", "GeForce", "Tesla"))
    return next((card for card in CARDS if f"{words}-".startswith(f"{card.known_as}-")), None)


#: Units for float32 in a multiprocessor, by compute capability (CUDA C Programming Guide, "Arithmetic
#: Instructions"); later ones have as many as the last.
UNITS = {50: 128, 60: 64, 61: 128, 70: 64, 80: 64, 86: 128}
#: Where the figures come from that a record holds of a card.
SHEET, DERIVED = "data sheet", "worked out from the device's own attributes"


def derived(name: str, architecture: int, attributes: Mapping[str, int]) -> Card | None:
    """A card that is not in the table, from what it says of itself: peak = processors x units x 2 x clock.

    The clock is the highest that the driver names, of which a card at its limit of power may fall short; and
    memory is written to and read on both edges of its clock.

    Args:
        name: as the driver gives it.
        architecture: its compute capability, 90 for 9.0.
        attributes: by the names of CUDA's, without the prefix; clocks are in kHz, the bus in bits.

    Returns:
        None if the driver does not tell.

    >>> a100 = {"MultiProcessorCount": 108, "ClockRate": 1410000}
    >>> a100 |= {"MemoryClockRate": 1593000, "GlobalMemoryBusWidth": 5120}
    >>> card = derived("A100 80GB", 80, a100)
    >>> f"{card.flops / 1e12:.1f} TFLOP/s, {card.bandwidth / 1e9:.0f} GB/s, {card.source}"
    "19.5 TFLOP/s, 2039 GB/s, worked out from the device's own attributes"
    """
    processors, clock = attributes.get("MultiProcessorCount", 0), attributes.get("ClockRate", 0)
    known = [capability for capability in UNITS if capability <= architecture]
    if not known or processors <= 0 or clock <= 0:
        return None
    bus, memory_clock = attributes.get("GlobalMemoryBusWidth", 0), attributes.get("MemoryClockRate", 0)
    flops = processors * UNITS[max(known)] * 2 * clock * 1e3
    return Card(name, architecture, flops, 2 * memory_clock * 1e3 * bus / 8, DERIVED, name)


def bounds(least: Cost, products: float = 1.0) -> dict[str, float]:
    """Seconds on each card of the table that something cannot be faster than: a prediction.

    Args:
        least: its FLOPs and bytes.
        products: the share of the FLOPs that an algorithm needs.

    >>> round(bounds(Cost(0, 320_000_000))["T4"] * 1e3, 6)
    1.0
    """
    return {card.name: card.bound(least, products) for card in CARDS}
