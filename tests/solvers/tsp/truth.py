"""The truth about random instances, by methods that share nothing with the engine.

Up to `SMALL` nodes Bellman's dynamic program over all subsets (R. Bellman 1962; M. Held and R. M.
Karp 1962); above, CP-SAT on the naive model: one 0-1 variable an arc of the whole graph, one
`add_circuit`. Where that proves no optimum in time, what it does prove is compared.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from random import Random
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from optimized_tsp.solvers.contract import Incumbent, Outcome, SolutionStatus
from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolution, TspSolver
from optimized_tsp.solvers.tsp.parameters import Engine
from optimized_tsp.solvers.tsp.schemas import COST_LIMIT
from tests.solvers.tsp.random_instances import random_instance

SMALL: Final = 12
LARGEST: Final = 25
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
KINDS: Final = ("symmetric", "asymmetric", "sparse", "clustered", "equal", "huge", "any form")

_FAR = 2**60
_NAIVE_S = 10.0

Matrix = list[list[int | None]]


@dataclass(frozen=True, slots=True)
class Case:
    """An instance, where it came from, and its costs in full."""

    name: str
    instance: TspInstance
    costs: Matrix


def random_case(seed: int, sizes: range) -> Case:
    """The instance of a seed; kinds take turns."""
    random, kind = Random(seed), KINDS[seed % len(KINDS)]
    if kind == "any form":
        from tests.solvers.tsp.brute_force import costs_of

        instance = random_instance(random, sizes)
        return Case(f"{kind} {seed}", instance, [list(row) for row in costs_of(instance)])
    costs = _costs(kind, random, random.choice(sizes))
    return Case(f"{kind} {seed}", TspInstance(matrix=costs), costs)


def _costs(kind: str, random: Random, num_nodes: int) -> Matrix:
    if kind == "clustered":
        return _clustered(random, num_nodes)
    largest = {"equal": 2, "huge": (COST_LIMIT - 1) // num_nodes}.get(kind, 1_000)
    least = largest - 1_000 if kind == "huge" and random.random() < 0.5 else 0
    costs: Matrix = [
        [None if i == j else random.randint(least, largest) for j in range(num_nodes)]
        for i in range(num_nodes)
    ]
    both_ways = kind == "symmetric" or (kind != "asymmetric" and random.random() < 0.6)
    missing = random.choice([0.3, 0.5, 0.65]) if kind == "sparse" else 0.0
    for i in range(num_nodes):
        for j in range(num_nodes):
            if i != j and random.random() < missing:
                costs[i][j] = None
            if both_ways and j < i:
                costs[i][j] = costs[j][i]
    return costs


def _clustered(random: Random, num_nodes: int) -> Matrix:
    """Rounded distances of points in a few heaps, some of them in the same place."""
    heaps = [complex(random.uniform(0, 1e4), random.uniform(0, 1e4)) for _ in range(3)]
    points = [
        random.choice(heaps) + complex(round(random.gauss(0, 20)), round(random.gauss(0, 20)))
        for _ in range(num_nodes)
    ]
    return [
        [None if i == j else round(abs(a - b)) for j, b in enumerate(points)]
        for i, a in enumerate(points)
    ]


@dataclass(frozen=True, slots=True)
class Truth:
    """The cost of a cheapest tour is at least `least` and at most `most`.

    They are the same where the optimum is known, and None where there is no tour.
    """

    least: int | None
    most: int | None

    @property
    def known(self) -> bool:
        return self.least == self.most


def truth_of(costs: Matrix) -> Truth:
    """What is known of the cheapest tour."""
    if len(costs) > SMALL:
        return naive_truth_of(costs)
    optimum = _by_subsets(costs)
    return Truth(optimum, optimum)


def _by_subsets(costs: Matrix) -> int | None:
    last = len(costs) - 1
    if last == 0:
        return 0
    full: NDArray[np.int64] = np.array(
        [[_FAR if cost is None else cost for cost in row] for row in costs]
    )
    np.fill_diagonal(full, _FAR)
    # best[subset, node]: cheapest way from node `last` through the subset, ending at the node.
    best = np.full((1 << last, last), _FAR)
    best[1 << np.arange(last), np.arange(last)] = full[last, :last]
    for subset in range(1, 1 << last):
        onward = (best[subset][:, None] + full[:last, :last]).min(axis=0)
        for node in range(last):
            if not subset >> node & 1:
                larger = subset | 1 << node
                best[larger, node] = min(best[larger, node], onward[node], _FAR)
    optimum = int((best[-1] + full[:last, last]).min())
    return None if optimum >= _FAR else optimum


def naive_truth_of(costs: Matrix) -> Truth:
    """What the naive model proves within its time."""
    model = cp_model.CpModel()
    arcs = [
        (i, j, model.new_bool_var(""), cost)
        for i, row in enumerate(costs)
        for j, cost in enumerate(row)
        if i != j and cost is not None
    ]
    every = set(range(len(costs)))
    if {arc[0] for arc in arcs} != every or {arc[1] for arc in arcs} != every:
        return Truth(None, None)  # `add_circuit` would leave a node without arcs out without a word
    literals = [arc[2] for arc in arcs]
    model.add_circuit([arc[:3] for arc in arcs])
    model.minimize(cp_model.LinearExpr.weighted_sum(literals, [arc[3] for arc in arcs]))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = _NAIVE_S
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return Truth(None, None)
    assert status in {cp_model.OPTIMAL, cp_model.FEASIBLE}, f"nothing known after {_NAIVE_S} s"
    cost = sum(cost for _, _, literal, cost in arcs if solver.boolean_value(literal))
    bound = int(solver.response_proto.inner_objective_lower_bound)
    assert status != cp_model.OPTIMAL or bound == cost
    return Truth(min(bound, cost), cost)


def assert_answer_is_true(case: Case, truth: Truth, engine: Engine, *, seed: int = 1) -> None:
    """Solve, and compare everything that was claimed on the way with the truth."""
    reports: list[Incumbent[TspSolution]] = []
    outcome = TspSolver().solve(
        case.instance,
        TspParameters(timeout=60.0, threads=2, engine=engine),
        seed=seed,
        stop=threading.Event(),
        on_incumbent=reports.append,
        start=None,
    )
    where = f"{case.name} by {engine}: {outcome.cost}, {truth}, {outcome.statistics}"
    _assert_nothing_failed(outcome, where)
    if truth.most is None or truth.least is None:
        assert outcome.solution_status is SolutionStatus.INFEASIBLE, where
        assert all(report.cost is None for report in reports), where
        return
    assert outcome.solution_status is SolutionStatus.OPTIMAL, where
    assert outcome.cost == outcome.lower_bound, where
    assert outcome.cost is not None
    assert truth.least <= outcome.cost <= truth.most, where
    assert outcome.solution is not None
    TspSolver().check(case.instance, outcome.solution)
    for report in reports:
        assert report.lower_bound is None or report.lower_bound <= outcome.cost, where
        assert report.cost is None or report.cost >= outcome.cost, where


def _assert_nothing_failed(outcome: Outcome[TspSolution], where: str) -> None:
    """An engine that failed and was made up for is a defect all the same."""
    statistics = outcome.statistics or {}
    failed = [name for name in statistics if name.endswith("_failure")]
    assert not failed, f"{where}: {[statistics[name] for name in failed]}"
