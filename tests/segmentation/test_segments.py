"""Connected components and their growth, against flood fill and rounds of a literal loop."""

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as hnp

from minidl.segmentation.segments import components, grow
from oracles.boundary_loops import flood_fill, grow_by_loop, picture

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6)
SECTION = SHAPES.flatmap(lambda shape: hnp.arrays(np.bool_, shape))


@given(SECTION)
def test_components_are_a_flood_fill(foreground: np.ndarray) -> None:
    labels = components(foreground)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, flood_fill(foreground))  # both number in reading order


def test_cells_that_touch_at_a_corner_are_two() -> None:
    assert components(picture("#.", ".#")[0]).tolist() == [[1, 0], [0, 2]]


@given(SECTION)
def test_grow_is_the_rule_in_rounds(foreground: np.ndarray) -> None:
    labels = flood_fill(foreground)
    np.testing.assert_array_equal(grow(labels), grow_by_loop(labels))


@given(SECTION)
def test_growth_reaches_a_nearest_segment_and_moves_no_label(foreground: np.ndarray) -> None:
    labels = flood_fill(foreground)
    grown = grow(labels)
    if not foreground.any():
        assert (grown == 1).all()
        return
    np.testing.assert_array_equal(grown[foreground], labels[foreground])
    cells = np.argwhere(labels).tolist()
    for y, x in np.argwhere(labels == 0).tolist():
        distance = {(cy, cx): abs(cy - y) + abs(cx - x) for cy, cx in cells}
        nearest = {labels[cell] for cell, d in distance.items() if d == min(distance.values())}
        assert grown[y, x] in nearest


def test_ties_go_up_left_right_down() -> None:
    cross = np.array([[0, 1, 0], [2, 0, 3], [0, 4, 0]], dtype=np.int32)
    # The corners: upper left has right 1 and down 2, right comes first; upper right has left 1, down 3.
    # Lower left has up 2, right 4; lower right has up 3, left 4.
    assert grow(cross).tolist() == [[1, 1, 1], [2, 1, 3], [2, 4, 3]]
