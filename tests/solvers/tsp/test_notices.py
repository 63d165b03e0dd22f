"""What is legal but probably not meant is said of points in files as of others."""

from __future__ import annotations

import pytest

from optimized_tsp.solvers.tsp import TspInstance, TspSolver
from tests.solvers.tsp.tsplib_texts import explicit, located

TINY = [(0.0, 0.0), (0.1, 0.0), (0.0, 0.1)]
TINY_IN_SPACE = [(0.0, 0.0, 0.0), (0.1, 0.0, 0.0), (0.0, 0.1, 0.0)]


def codes(instance: TspInstance) -> list[str]:
    return [notice.code for notice in TspSolver().notices(instance)]


@pytest.mark.parametrize("kind", ["EUC_2D", "MAN_2D", "MAX_2D"])
def test_many_zero_distances_in_a_file(kind: str) -> None:
    assert codes(TspInstance(tsplib=located(TINY, kind))) == ["many_zero_distances"]
    wide = [(1000 * x, 1000 * y) for x, y in TINY]
    assert codes(TspInstance(tsplib=located(wide, kind))) == []


def test_many_zero_distances_in_space() -> None:
    assert codes(TspInstance(tsplib=located(TINY_IN_SPACE, "EUC_3D"))) == ["many_zero_distances"]


def test_weights_that_were_meant_are_no_concern() -> None:
    assert codes(TspInstance(tsplib=explicit([[0, 0], [0, 0]]))) == []
