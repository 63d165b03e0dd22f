"""Those who are measured: our engines, and what people would use instead.

Each takes an instance, a time limit in seconds and a function to report to. All get two threads.
What needs a full matrix refuses instances beyond `MATRIX_NODES` instead of eating all memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolver
from optimized_tsp.solvers.tsp.graph import PointGraph, build_graph

__all__ = ["CONTENDERS", "MATRIX_NODES", "Contender", "NotForThis", "Report", "THREADS"]

THREADS = 2
MATRIX_NODES = 20_000
_NAIVE_NODES = 1_500
_FAST_TSP_TOP = 65_535


class NotForThis(Exception):
    """A contender cannot take this instance."""


class Report(Protocol):
    def __call__(self, cost: int | None, bound: float | None) -> None:
        """Tell the best cost and bound known now."""


Contender = Callable[[TspInstance, float, Report], dict[str, Any]]
"""Returns statistics; `proven` among them where a proof was claimed."""


def ours(instance: TspInstance, limit_s: float, report: Report, *, engine: str) -> dict[str, Any]:
    """Our solver with one of its engines."""
    parameters = TspParameters.model_validate(
        {"timeout": limit_s, "threads": THREADS, "engine": engine}
    )
    outcome = TspSolver().solve(
        instance,
        parameters,
        seed=1,
        stop=threading.Event(),
        on_incumbent=lambda incumbent: report(incumbent.cost, incumbent.lower_bound),
        start=None,
    )
    report(outcome.cost, outcome.lower_bound)
    proven = outcome.cost is not None and outcome.cost == outcome.lower_bound
    return {**(outcome.statistics or {}), "proven": proven}


def naive_cp_sat(instance: TspInstance, limit_s: float, report: Report) -> dict[str, Any]:
    """CP-SAT on all directed edges with `add_circuit`, no hint: what most people write first."""
    from ortools.sat.python import cp_model

    began = time.perf_counter()
    costs = _matrix(instance, most=_NAIVE_NODES)
    model = cp_model.CpModel()
    pairs = [(i, j) for i in range(len(costs)) for j in range(len(costs)) if i != j]
    arcs = [(i, j, model.new_bool_var("")) for i, j in pairs]
    model.add_circuit(arcs)
    model.minimize(sum(int(costs[i, j]) * used for i, j, used in arcs))

    class Listener(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            report(round(self.objective_value), self.best_objective_bound)

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = THREADS
    solver.parameters.max_time_in_seconds = max(0.1, limit_s - (time.perf_counter() - began))
    status = solver.solve(model, Listener())
    found = status in {cp_model.OPTIMAL, cp_model.FEASIBLE}
    report(round(solver.objective_value) if found else None, solver.best_objective_bound)
    return {"proven": status == cp_model.OPTIMAL}


def routing(instance: TspInstance, limit_s: float, report: Report) -> dict[str, Any]:
    """OR-Tools routing: cheapest arc first, then guided local search."""
    from ortools.constraint_solver import pywrapcp, routing_enums_pb2

    began = time.perf_counter()
    costs = _matrix(instance, most=_NAIVE_NODES * 2)
    manager = pywrapcp.RoutingIndexManager(len(costs), 1, 0)
    model = pywrapcp.RoutingModel(manager)
    model.SetArcCostEvaluatorOfAllVehicles(model.RegisterTransitMatrix(costs.tolist()))
    search = pywrapcp.DefaultRoutingSearchParameters()
    first = routing_enums_pb2.FirstSolutionStrategy.PATH_CHEAPEST_ARC
    search.first_solution_strategy = first
    better = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    search.local_search_metaheuristic = better
    left_ms = max(100, int(1e3 * (limit_s - (time.perf_counter() - began))))
    search.time_limit.FromMilliseconds(left_ms)
    best: list[int] = []

    def on_solution() -> None:
        cost = model.CostVar().Value()
        if not best or cost < best[-1]:
            best.append(cost)
            report(cost, None)

    model.AddAtSolutionCallback(on_solution)
    model.SolveWithParameters(search)
    return {}


def fast_tsp(instance: TspInstance, limit_s: float, report: Report) -> dict[str, Any]:
    """fast-tsp alone, in one call; weights above 16 bits are scaled down."""
    import fast_tsp as library

    began = time.perf_counter()
    costs = _matrix(instance, most=MATRIX_NODES)
    if not np.array_equal(costs, costs.T):
        raise NotForThis("symmetric only")
    scale = min(1.0, _FAST_TSP_TOP / max(1, int(costs.max())))
    weights = np.rint(costs * scale).astype(np.uint16)
    left_s = max(0.05, limit_s - (time.perf_counter() - began))
    order = np.array(library.find_tour(weights, duration_seconds=left_s))
    report(int(costs[order, np.roll(order, -1)].sum()), None)
    return {}


def pyvrp(instance: TspInstance, limit_s: float, report: Report) -> dict[str, Any]:
    """PyVRP with one vehicle; only where it is installed."""
    try:
        import pyvrp as library
    except ImportError as error:
        raise NotForThis("not installed") from error
    began = time.perf_counter()
    costs = _matrix(instance, most=_NAIVE_NODES * 2)
    depot, *others = range(len(costs))
    data = library.ProblemData(
        clients=[library.Client(0, 0) for _ in others],
        depots=[library.Depot(0, 0)],
        vehicle_types=[library.VehicleType(1)],
        distance_matrices=[costs],
        duration_matrices=[np.zeros_like(costs)],
    )
    left_s = max(0.1, limit_s - (time.perf_counter() - began))
    stop = library.stop.MaxRuntime(left_s)
    result = library.solve(data, stop, seed=1, display=False)
    if result.best.is_feasible():
        order = [depot, *(visit for route in result.best.routes() for visit in route.visits())]
        if len(order) == len(costs):
            report(int(costs[order, np.roll(order, -1)].sum()), None)
    return {}


def _matrix(instance: TspInstance, *, most: int) -> NDArray[np.int64]:
    """All costs, 0 on the diagonal. Raises `NotForThis` beyond `most` nodes or with holes."""
    if instance.node_count > most:
        raise NotForThis(f"more than {most} nodes")
    graph = build_graph(instance)
    if not graph.complete:
        raise NotForThis("complete graphs only")
    dense = graph.dense() if isinstance(graph, PointGraph) else graph
    places = np.arange(graph.num_nodes)
    costs = dense.between(*np.meshgrid(places, places, indexing="ij"))
    np.fill_diagonal(costs, 0)
    return costs


CONTENDERS: dict[str, Contender] = {
    "auto": partial(ours, engine="auto"),
    "cp_sat": partial(ours, engine="cp_sat"),
    "branch_and_cut": partial(ours, engine="branch_and_cut"),
    "naive_cp_sat": naive_cp_sat,
    "routing": routing,
    "fast_tsp": fast_tsp,
    "pyvrp": pyvrp,
}
