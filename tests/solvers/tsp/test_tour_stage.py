"""When tours count as settled, and what of fast-tsp's work is kept."""

from __future__ import annotations

import time

import numpy as np
import psutil

from optimized_tsp.solvers.tsp.distances import Distances
from optimized_tsp.solvers.tsp.graph import PointGraph
from optimized_tsp.solvers.tsp.plan import Plan
from optimized_tsp.solvers.tsp.tour_stage import TourStage
from tests.solvers.tsp.searching import search_on


def test_tours_are_not_settled_before_fast_tsp_has_told_what_it_found() -> None:
    angles = np.linspace(0.0, 2.0 * np.pi, 1_200, endpoint=False)
    places = 1e5 * np.column_stack([np.cos(angles), np.sin(angles)])
    ring = PointGraph(Distances(places, "EUC_2D", 1.0))
    search, _ = search_on(ring)
    stage = TourStage(search, ring, Plan("branch_and_cut", 2, 1))
    stage.begin()  # finds the ring: nothing better comes after it
    others = set(psutil.Process().children())
    called = False
    with stage.beside():
        while not stage.settled:
            called = called or set(psutil.Process().children()) > others
            assert not search.over()
            time.sleep(0.02)
        assert set(psutil.Process().children()) <= others
    assert called
