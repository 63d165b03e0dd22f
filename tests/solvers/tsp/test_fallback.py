"""Whatever part cannot work, there is an answer, and it says what was missing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from optimized_tsp.solvers.contract import SolutionStatus
from optimized_tsp.solvers.tsp import TspInstance
from tests.solvers.tsp.test_parameters import solve, statistics_of

SOLVE = """
import json, sys, threading
for name in sys.argv[1].split(","):
    sys.modules[name] = None
from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolver
outcome = TspSolver().solve(
    TspInstance.model_validate_json(sys.stdin.read()),
    TspParameters(timeout=50.0, threads=2, engine=sys.argv[2]),
    seed=1, stop=threading.Event(), on_incumbent=lambda incumbent: None, start=None,
)
print(json.dumps([outcome.solution_status, outcome.cost, outcome.lower_bound, outcome.statistics]))
"""
"""Solves without the modules named; in a process of its own, where they were never loaded."""

POINTS = {
    "coordinates": [[float(37 * i % 101), float(53 * i % 97)] for i in range(40)],
    "metric": "EUC_2D",
}


def solve_without(modules: str, engine: str, instance: str) -> tuple[str, int, int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SOLVE, modules, engine],
        input=instance,
        capture_output=True,
        text=True,
        check=True,
    )
    status, cost, bound, statistics = json.loads(done.stdout)
    return status, cost, bound, statistics


@pytest.mark.parametrize(
    ("modules", "failed"),
    [
        ("highspy", {"root_relaxation_failure"}),
        ("numba", {"root_relaxation_failure", "tours_failure"}),
        ("ortools", set()),
    ],
)
@pytest.mark.parametrize("engine", ["auto", "cp_sat"])
def test_a_library_that_cannot_be_loaded_costs_its_part_only(
    modules: str, failed: set[str], engine: str
) -> None:
    status, cost, bound, statistics = solve_without(modules, engine, json.dumps(POINTS))
    assert status == "optimal"
    assert cost == bound
    assert failed <= statistics.keys()
    if failed:
        assert statistics["proven_by"] in {"cp_sat", "held_karp"}


def test_without_any_engine_the_tour_is_there_nevertheless() -> None:
    status, cost, _, statistics = solve_without("highspy,ortools", "auto", json.dumps(POINTS))
    assert status in {"feasible", "optimal"}
    assert cost > 0
    assert "root_relaxation_failure" in statistics


def petersen() -> TspInstance:
    """Petersen's graph, whose edges cost 1 and all others 2: an instance no relaxation decides.

    It has no Hamiltonian cycle; without any one of its nodes it has one. So the best tour costs 11.
    """
    rim = [(i, (i + 1) % 5) for i in range(5)]
    star = [(5 + i, 5 + (i + 2) % 5) for i in range(5)]
    edges = {*rim, *star, *((i, i + 5) for i in range(5))}
    return TspInstance.model_validate(
        {"matrix": [[1 if {(a, b), (b, a)} & edges else 2 for a in range(10)] for b in range(10)]}
    )


@pytest.mark.parametrize(
    ("broken", "parts", "other"),
    [
        ("branch_and_cut", ["branching.prove"], "cp_sat"),
        ("cp_sat", ["cp_sat_engine.settle_core", "cp_sat_engine.settle_arcs"], "branch_and_cut"),
    ],
)
def test_an_engine_that_raises_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch, broken: str, parts: list[str], other: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("out of luck")

    for part in parts:
        monkeypatch.setattr(f"optimized_tsp.solvers.tsp.{part}", fail)

    outcome = solve(petersen(), engine=broken)

    statistics = statistics_of(outcome)
    assert statistics[f"{broken}_failure"] == "MemoryError: out of luck"
    assert (outcome.solution_status, outcome.cost) == (SolutionStatus.OPTIMAL, 11)
    assert statistics["proven_by"] == other


def test_instances_without_edges_enough_survive_missing_parts() -> None:
    sparse = TspInstance.model_validate(
        {"matrix": [[None, 1, None], [None, None, 1], [1, None, None]]}
    )
    status, cost, _, _ = solve_without("numba,highspy", "auto", sparse.model_dump_json())
    assert (status, cost) == ("optimal", 3)
