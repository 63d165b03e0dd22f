"""fast-tsp as a call: weights in the order of the costs, and an end when nobody waits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from optimized_tsp.solvers.tsp.arcs import NO_EDGE
from optimized_tsp.solvers.tsp.graph import DenseGraph, tour_cost
from optimized_tsp.solvers.tsp.tours.doubling import pairs_to_tour
from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule
from optimized_tsp.solvers.tsp.tours.fast_tsp_call import FastTspCall, scaled_weights
from tests.promises import promised
from tests.solvers.tsp.tours.graphs import is_permutation, one_way, points


@pytest.mark.parametrize("longest", [100, 50_000, 2**40])
def test_weights_keep_the_order_of_costs(longest: int) -> None:
    random = np.random.default_rng(1).integers(0, longest, (40, 40))
    costs = np.minimum(random, random.T)
    costs[3, 7] = costs[7, 3] = NO_EDGE
    weights = scaled_weights(cost_rule(DenseGraph(costs)), None, complete=False)

    assert weights[3, 7] == 65_535
    assert weights[weights < 65_535].max() <= 7_500
    inside = ~np.eye(40, dtype=bool)
    order = np.argsort(costs[inside])
    assert (np.diff(weights[inside][order].astype(int)) >= 0).all()
    assert (weights == weights.T).all()


def test_weights_that_fit_are_the_costs() -> None:
    graph = points(300)
    graph.distances.points[:] /= 50
    weights = scaled_weights(cost_rule(graph), 10, complete=True)
    assert (weights == graph.distances.matrix()).all()


def test_edges_of_every_tour_of_a_doubled_graph_weigh_nothing() -> None:
    graph = one_way(30)
    weights = scaled_weights(cost_rule(graph), None, complete=True)
    node = np.arange(30)
    assert (weights[node, node + 30] == 0).all()
    assert (np.sort(weights[:30, 30:], axis=1)[:, 1:] > 0).all()
    assert (weights[:30, :30][~np.eye(30, dtype=bool)] == 65_535).all()


def test_a_call_finds_a_tour_in_its_direction() -> None:
    """Forwards around a ring is cheap, backwards is dear."""
    ring = np.arange(40)
    costs = np.full((40, 40), 900)
    costs[ring, (ring + 1) % 40] = 1
    graph = DenseGraph(costs)
    weights = scaled_weights(cost_rule(graph), None, complete=True)
    call = FastTspCall(weights, time.monotonic() + 1.0, 1)
    order = call.result()

    assert order is not None
    assert is_permutation(order, 80)
    assert tour_cost(graph, pairs_to_tour(order)) == 40


def test_a_call_nobody_waits_for_ends_at_once() -> None:
    weights = scaled_weights(cost_rule(points(200)), None, complete=True)
    call = FastTspCall(weights, time.monotonic() + 60.0, 1)
    with promised(1.0):
        call.stop()

    assert call.result() is None
    call.stop()  # once more does no harm


PARENT = """
import os, sys, time
from tests.solvers.tsp.tours.graphs import points
from optimized_tsp.solvers.tsp.tours.edge_costs import cost_rule
from optimized_tsp.solvers.tsp.tours.fast_tsp_call import FastTspCall, scaled_weights
weights = scaled_weights(cost_rule(points(200)), None, complete=True)
call = FastTspCall(weights, time.monotonic() + 60, 1)
print(call._process.pid, flush=True)
time.sleep(60)
"""


def test_a_call_dies_with_its_process() -> None:
    root = Path(__file__).parents[4]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60.0
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the call outlived its process"
        time.sleep(0.02)
