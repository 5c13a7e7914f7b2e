"""What a training adds up from one row of its history to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Running:
    """Added up since the last row of the history."""

    loss: float
    steps: int
    confusion: np.ndarray[Any, Any]

    @classmethod
    def empty(cls, classes: int) -> Running:
        """Nothing yet."""
        return cls(0.0, 0, np.zeros((classes, classes), np.int64))

    @property
    def mean_loss(self) -> float:
        """Mean over the steps, NaN before the first."""
        return self.loss / self.steps if self.steps else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"loss": self.loss, "steps": self.steps, "confusion": self.confusion.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Running:
        """The inverse of :meth:`to_dict`."""
        return cls(float(values["loss"]), int(values["steps"]), np.array(values["confusion"], np.int64))
