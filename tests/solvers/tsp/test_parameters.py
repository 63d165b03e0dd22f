"""What may be asked of a solve, what is refused, and that it is done."""

from __future__ import annotations

import json
import threading
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from pydantic import ValidationError

from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import InvalidInput
from optimized_tsp.jobs.submission import parse_submission
from optimized_tsp.solvers.contract import (
    Incumbent,
    InvalidParameters,
    Outcome,
    SolutionStatus,
    StopReason,
)
from optimized_tsp.solvers.knapsack import KnapsackParameters
from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolution, TspSolver
from optimized_tsp.solvers.tsp.parameters import Engine
from tests.promises import promised

SQUARE = {"matrix": [[None, 1, 5, 1], [1, None, 1, 5], [5, 1, None, 1], [1, None, 1, None]]}
"""Corners of a square; there is no edge from 3 to 1."""

FIXED = """NAME : fixed
TYPE : TSP
DIMENSION : 4
EDGE_WEIGHT_TYPE : EXPLICIT
EDGE_WEIGHT_FORMAT : FULL_MATRIX
EDGE_WEIGHT_SECTION
0 1 5 1
1 0 1 5
5 1 0 1
1 5 1 0
FIXED_EDGES_SECTION
1 3
-1
EOF
"""


def points(count: int, seed: int = 1) -> TspInstance:
    spread = np.random.default_rng(seed).uniform(0, 1e6, (count, 2))
    return TspInstance(coordinates=spread.tolist(), metric="EUC_2D")


def solve(
    instance: TspInstance, reports: list[Incumbent[TspSolution]] | None = None, **parameters: Any
) -> Outcome[TspSolution]:
    outcome = TspSolver().solve(
        instance,
        TspParameters(**({"timeout": 30.0, "threads": 2} | parameters)),
        seed=3,
        stop=threading.Event(),
        on_incumbent=([] if reports is None else reports).append,
        start=None,
    )
    if outcome.solution is not None:
        TspSolver().check(instance, outcome.solution)
    return outcome


def statistics_of(outcome: Outcome[TspSolution]) -> dict[str, Any]:
    assert outcome.statistics is not None
    return outcome.statistics


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"engine": "simplex"}, "engine"),
        ({"gap_limit": -0.1}, "gap_limit"),
        ({"gap_limit": 1.5}, "gap_limit"),
        ({"gap_limit": "1%"}, "gap_limit"),
        ({"no_improvement_timeout": 0}, "no_improvement_timeout"),
        ({"initial_tour": []}, "initial_tour"),
        ({"initial_tour": [0, -1]}, "initial_tour"),
        ({"initial_tour": [0, True]}, "initial_tour"),
        ({"deterministic": 1}, "deterministic"),
        ({"timeout": 5.0, "no_improvement_timeout": 6.0}, "no_improvement_timeout"),
        ({"no_improvement_timeout": 61.0}, "no_improvement_timeout"),
        ({"no_improvement_timeout": 5.0, "deterministic": True}, "deterministic"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(parameters: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TspParameters.model_validate_json(json.dumps(parameters))
    assert refused.value.errors()[0]["loc"][0] == where


def test_parameters_of_tours_exist_for_tours_only() -> None:
    for name in TspParameters.model_fields.keys() - KnapsackParameters.model_fields.keys():
        with pytest.raises(ValidationError, match=name):
            KnapsackParameters.model_validate({name: None})


@pytest.mark.parametrize(
    ("instance", "tour", "pointer", "code"),
    [
        (SQUARE, [0, 1, 2], "", "wrong_count"),
        (SQUARE, [0, 1, 2, 4], "/3", "no_such_node"),
        (SQUARE, [0, 1, 2, 1], "/3", "repeated_node"),
        (SQUARE, [0, 2, 3, 1], "", "no_tour_of_the_instance"),
        ({"tsplib": FIXED}, [0, 1, 2, 3], "", "no_tour_of_the_instance"),
        (SQUARE | {"round_trip": False, "start": 1}, [0, 1, 2, 3], "", "no_tour_of_the_instance"),
    ],
)
def test_an_initial_tour_that_is_none_is_refused_before_any_work(
    instance: dict[str, Any], tour: list[int], pointer: str, code: str
) -> None:
    body = {"tsp_instance": instance, "optimization_parameters": {"initial_tour": tour}}
    with pytest.raises(InvalidInput) as refused:
        parse_submission(TspSolver(), orjson.dumps(body), Settings())
    (problem,) = refused.value.problems
    assert problem.pointer == f"/optimization_parameters/initial_tour{pointer}"
    assert problem.code == code

    with pytest.raises(InvalidParameters):
        solve(TspInstance.model_validate(instance), initial_tour=tour)


@pytest.mark.parametrize(
    ("instance", "tour"),
    [
        (SQUARE, [2, 3, 0, 1]),
        ({"tsplib": FIXED}, [3, 1, 0, 2]),
        (SQUARE | {"round_trip": False, "start": 1}, [1, 2, 3, 0]),
        (SQUARE | {"start": 2}, [1, 2, 3, 0]),
    ],
)
def test_an_initial_tour_may_begin_anywhere_unless_the_instance_says_where(
    instance: dict[str, Any], tour: list[int]
) -> None:
    outcome = solve(TspInstance.model_validate(instance), initial_tour=tour)
    assert outcome.solution_status is SolutionStatus.OPTIMAL


def test_the_answer_is_never_worse_than_the_initial_tour() -> None:
    instance = points(400)
    good = solve(instance, timeout=3.0)
    assert good.solution is not None
    reports: list[Incumbent[TspSolution]] = []
    order = good.solution.node_order[7:] + good.solution.node_order[:7]
    again = solve(instance, reports, timeout=0.02, initial_tour=order)
    assert again.cost is not None
    assert good.cost is not None
    assert again.cost <= good.cost
    assert reports[0].cost == good.cost


def test_a_gap_limit_stops_as_soon_as_it_is_reached() -> None:
    outcome = solve(points(300), gap_limit=0.05)
    assert outcome.stop_reason is StopReason.GAP_LIMIT
    assert outcome.solution_status is SolutionStatus.FEASIBLE
    assert outcome.gap is not None
    assert outcome.gap <= 0.05


def test_a_gap_limit_of_zero_asks_for_a_proof() -> None:
    outcome = solve(points(30), gap_limit=0.0)
    assert (outcome.solution_status, outcome.stop_reason) == (
        SolutionStatus.OPTIMAL,
        StopReason.PROVEN,
    )


def test_no_improvement_counts_from_the_last_better_tour() -> None:
    reports: list[Incumbent[TspSolution]] = []
    with promised(30.0):
        outcome = solve(points(1_500), reports, timeout=60.0, no_improvement_timeout=0.05)

    assert outcome.stop_reason is StopReason.NO_IMPROVEMENT
    assert outcome.solution_status is SolutionStatus.FEASIBLE

    costs = [report.cost for report in reports if report.solution is not None]
    assert all(a is not None and b is not None and b < a for a, b in pairwise(costs))


@pytest.mark.parametrize("engine", ["auto", "cp_sat", "branch_and_cut"])
def test_the_engine_is_recorded_with_what_it_did(engine: Engine) -> None:
    outcome = solve(points(60), engine=engine)
    statistics = statistics_of(outcome)
    assert outcome.solution_status is SolutionStatus.OPTIMAL
    assert statistics["engine"] == ("branch_and_cut" if engine == "auto" else engine)
    assert statistics["proven_by"] in {"root_relaxation", statistics["engine"]}
    assert statistics["time_to_first_tour_s"] <= statistics["time_to_best_s"]
    assert statistics["root_bound"] <= (outcome.cost or 0) <= statistics["first_tour_cost"]
    assert {"root_s", "lp_s", "columns"} <= statistics.keys()


def test_costs_in_the_statistics_are_those_of_whole_tours() -> None:
    """The edge between nodes 0 and 2 is fixed and costs 5, which the engines never see."""
    outcome = solve(TspInstance(tsplib=FIXED))
    assert outcome.cost == 12
    assert statistics_of(outcome)["first_tour_cost"] == 12


@pytest.mark.parametrize("engine", ["cp_sat", "branch_and_cut"])
def test_deterministic_solves_give_the_same_tour(engine: Engine) -> None:
    """On a lattice with many shortest tours, whatever the threads."""
    x, y = np.divmod(np.arange(48), 8)
    lattice = TspInstance(coordinates=np.stack([x, y], 1).astype(float).tolist(), metric="MAN_2D")
    outcomes = [
        solve(lattice, deterministic=True, threads=threads, engine=engine) for threads in (1, 2)
    ]
    assert outcomes[0].solution == outcomes[1].solution
    assert all(statistics_of(outcome)["reproducible"] for outcome in outcomes)


def test_a_time_limit_makes_a_deterministic_solve_irreproducible_and_says_so() -> None:
    outcome = solve(points(1_000), deterministic=True, timeout=0.3)
    assert outcome.stop_reason is StopReason.TIME_LIMIT
    assert statistics_of(outcome)["reproducible"] is False
