"""What the figures should be: goals, floors below which a figure is a defect, and stretches."""

from __future__ import annotations

from dataclasses import dataclass

STRETCH, GOAL, FLOOR, MISSED = "stretch reached", "goal reached", "between floor and goal", "below the floor"
#: Verdicts, the best first.
VERDICTS = (STRETCH, GOAL, FLOOR, MISSED)


@dataclass(frozen=True)
class Goal:
    """Three marks for one figure.

    Attributes:
        goal: what is aimed at.
        floor: the least (or, with ``lower``, the most) that is accepted.
        stretch: what would be excellent.
        lower: smaller figures are better.

    >>> Goal(2, 1.5, 3).verdict(2.2)
    'goal reached'
    >>> Goal(0.7, 0.9, 0.5, lower=True).verdict(0.95)
    'below the floor'
    """

    goal: float
    floor: float
    stretch: float
    lower: bool = False

    def verdict(self, value: float) -> str:
        """Which of the marks the figure reaches."""
        sign = -1 if self.lower else 1
        for mark, word in ((self.stretch, STRETCH), (self.goal, GOAL), (self.floor, FLOOR)):
            if sign * value >= sign * mark:
                return word
        return MISSED

    def __str__(self) -> str:
        return f"{self.goal:g} / {self.floor:g} / {self.stretch:g}"


#: Ratios "time of the fastest peer / minidl's time".
TRAIN_DOCUMENTS = Goal(2, 1.5, 3)
TRAIN_PAPER = Goal(1.8, 1.3, 2.5)
PREDICTION = Goal(2, 1.5, 3)
OPERATION = Goal(1, 0.8, 2)

#: minidl's peak memory of a training step over that of torch's more frugal setting.
MEMORY = Goal(0.7, 0.9, 0.5, lower=True)

#: Seconds: the first step after an installation, and what a first step takes beyond a later one afterwards.
FIRST_STEP = Goal(20, 40, 5, lower=True)
WARM_STEP = Goal(1, 2, 0.3, lower=True)
