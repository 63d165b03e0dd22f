"""Small symmetric problems of many kinds, and a listener that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optimized_tsp.solvers.tsp.arcs import NO_EDGE, IntArray
from optimized_tsp.solvers.tsp.relaxation import RootListener, SymmetricProblem
from tests.solvers.tsp.brute_force import optimal_cost

KINDS = ("uniform", "clustered", "equal costs", "huge costs", "sparse", "asymmetric")


def points_matrix(points: IntArray) -> IntArray:
    """Rounded Euclidean distances."""
    difference = points[:, None] - points[None, :]
    distances: IntArray = np.floor(np.sqrt((difference**2).sum(axis=2)) + 0.5).astype(np.int64)
    return distances


def random_points(num_nodes: int, seed: int) -> IntArray:
    return np.random.default_rng(seed).integers(0, 1000, (num_nodes, 2))


def random_matrix(kind: str, num_nodes: int, seed: int) -> IntArray:
    """Costs of a kind of `KINDS`; symmetric but for "asymmetric"."""
    rng = np.random.default_rng(seed)
    if kind == "uniform":
        return points_matrix(random_points(num_nodes, seed))
    if kind == "clustered":
        centres = rng.integers(0, 10_000, (3, 2))
        spread = rng.integers(-20, 21, (num_nodes, 2))
        return points_matrix(centres[rng.integers(0, 3, num_nodes)] + spread)
    largest = {"equal costs": 1, "huge costs": 2**53 // num_nodes - 1}.get(kind, 1000)
    costs = rng.integers(0, largest + 1, (num_nodes, num_nodes))
    if kind == "sparse":
        costs[rng.random(costs.shape) < 0.5] = NO_EDGE
    if kind == "asymmetric":
        return costs
    upper: IntArray = np.triu(costs, 1)
    return upper + upper.T


def random_problem(kind: str, num_nodes: int, seed: int) -> tuple[SymmetricProblem, int | None]:
    """A problem and the cost of its cheapest tour (None without a tour), by trying everything."""
    costs = random_matrix(kind, num_nodes, seed)
    rows = [[None if cost >= NO_EDGE // 2 else int(cost) for cost in row] for row in costs]
    for node, row in enumerate(rows):
        row[node] = None
    if kind == "asymmetric":
        return SymmetricProblem.from_arcs(costs), optimal_cost(rows)
    return SymmetricProblem(costs), optimal_cost(rows)


def some_tour(problem: SymmetricProblem, seed: int, *, pairs: bool = False) -> IntArray | None:
    """A tour that is not a good one, None if a few tries give none; `pairs` for `from_arcs`."""
    rng = np.random.default_rng(seed)
    half = problem.num_nodes // 2
    for _ in range(50):
        order = rng.permutation(half if pairs else problem.num_nodes)
        if pairs:
            order = np.stack([order, order + half], axis=1).ravel()
        if problem.tour_cost(order) is not None:
            return order
    return None


class Listening:
    """Keeps the best tour and all bounds; `over` when they meet or `stopped()`."""

    def __init__(
        self,
        problem: SymmetricProblem,
        tour: IntArray | None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.problem = problem
        self.cost = None if tour is None else problem.tour_cost(tour)
        self.bounds: list[int] = []
        self.stopped = stopped
        self.listener = RootListener(self.over, lambda: self.cost, self.bounds.append, self.on_tour)

    def on_tour(self, order: IntArray) -> None:
        assert sorted(order.tolist()) == list(range(self.problem.num_nodes))
        cost = self.problem.tour_cost(order)
        if cost is not None and (self.cost is None or cost < self.cost):
            self.cost = cost

    def over(self) -> bool:
        return self.proven or self.stopped()

    @property
    def bound(self) -> int | None:
        return max(self.bounds, default=None)

    @property
    def proven(self) -> bool:
        return self.cost is not None and self.cost == self.bound
