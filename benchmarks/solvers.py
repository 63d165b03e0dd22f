"""How good the solver `tsp` is in a given time, against naive CP-SAT in the same run.

`make bench` runs the bundled example and random instances; `make bench DIR=folder` those of a
folder of TSPLIB files instead. The baseline is the model most people write first: CP-SAT on the
complete graph, one Boolean per directed edge, `add_circuit`, no hint. Wall times in seconds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ortools.sat.python import cp_model

from optimized_tsp.solvers.tsp import TspInstance, TspParameters, TspSolver
from optimized_tsp.solvers.tsp.graph import PointGraph, build_graph

THREADS = 2


@dataclass(frozen=True)
class Run:
    """How a solve went; cost and bound are None where there is none."""

    cost: int | None
    bound: int | None
    wall_s: float

    @property
    def proven(self) -> bool:
        return self.cost is not None and self.cost == self.bound

    def __str__(self) -> str:
        state = "proven" if self.proven else f"bound {self.bound}"
        return f"{self.cost!s:>12} {state:>16} {self.wall_s:7.2f} s"


def ours(instance: TspInstance, time_limit_s: float) -> Run:
    """Our solver."""
    started = time.perf_counter()
    outcome = TspSolver().solve(
        instance,
        TspParameters(timeout=time_limit_s, threads=THREADS),
        seed=1,
        stop=threading.Event(),
        on_incumbent=lambda _: None,
        start=None,
    )
    return Run(outcome.cost, outcome.lower_bound, time.perf_counter() - started)


def naive_model(instance: TspInstance) -> cp_model.CpModel:
    """`add_circuit` over all directed edges."""
    graph = build_graph(instance)
    costs = (graph.dense() if isinstance(graph, PointGraph) else graph).between(
        *np.divmod(np.arange(graph.num_nodes**2), graph.num_nodes)
    )
    model = cp_model.CpModel()
    arcs = [
        (i, j, model.new_bool_var(""), int(costs[i * graph.num_nodes + j]))
        for i in range(graph.num_nodes)
        for j in range(graph.num_nodes)
        if i != j
    ]
    model.add_circuit([(i, j, used) for i, j, used, _ in arcs])
    model.minimize(sum(cost * used for _, _, used, cost in arcs))
    return model


def naive(instance: TspInstance, time_limit_s: float) -> Run:
    """CP-SAT with the naive model."""
    started = time.perf_counter()
    model = naive_model(instance)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = THREADS
    solver.parameters.max_time_in_seconds = time_limit_s - (time.perf_counter() - started)
    status = solver.solve(model)
    found = status in {cp_model.OPTIMAL, cp_model.FEASIBLE}
    cost = round(solver.objective_value) if found else None
    return Run(cost, round(solver.best_objective_bound), time.perf_counter() - started)


def naive_stop_s(instance: TspInstance, *, after_s: float) -> float:
    """Seconds from asking CP-SAT with the naive model to stop until it does."""
    solver, asked_at = cp_model.CpSolver(), []
    solver.parameters.num_workers = THREADS

    def ask() -> None:
        asked_at.append(time.perf_counter())
        solver.stop_search()

    timer = threading.Timer(after_s, ask)
    model = naive_model(instance)
    timer.start()
    solver.solve(model)
    ended_at = time.perf_counter()
    timer.join()
    return max(0.0, ended_at - asked_at[0])


def instances(folder: Path | None) -> Iterator[tuple[str, TspInstance]]:
    """Named instances: of a folder, or the bundled round trip and random points."""
    if folder is not None:
        for path in sorted(folder.glob("*.tsp")):
            yield path.stem, TspInstance.model_validate({"tsplib": path.read_text("utf-8")})
        return
    for example in TspSolver().examples():
        instance = TspInstance.model_validate(example.submission["tsp_instance"])
        if instance.round_trip:  # the naive model knows nothing else
            yield example.name, instance
    for num_nodes in (30, 60, 100):
        source = random.Random(num_nodes)
        points = [[float(source.randint(0, 9999)) for _ in "xy"] for _ in range(num_nodes)]
        yield f"random{num_nodes}", TspInstance(coordinates=points, metric="EUC_2D")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--time-limit", type=float, default=20.0)
    parser.add_argument("--largest", type=int, default=300, help="nodes; naive CP-SAT needs memory")
    arguments = parser.parse_args()
    ratios = []
    print(f"{'':20} {'optimized-tsp':>40} {'naive CP-SAT (baseline)':>40}   baseline / ours")
    for name, instance in instances(arguments.folder):
        if instance.node_count > arguments.largest:
            continue
        mine, base = ours(instance, arguments.time_limit), naive(instance, arguments.time_limit)
        ratios.append(base.wall_s / mine.wall_s)
        print(f"{name:20} {mine!s:>40} {base!s:>40}   time {ratios[-1]:5.1f}x", flush=True)
    print(f"median ratio of wall times: {statistics.median(ratios):.1f} (limits included)")


if __name__ == "__main__":
    main()
