"""Open paths and where they begin and end, of every form, and the best of them by trying all."""

from __future__ import annotations

from itertools import pairwise, permutations
from random import Random
from typing import Any

from optimized_tsp.solvers.tsp import TspInstance
from tests.solvers.tsp.brute_force import Costs, costs_of
from tests.solvers.tsp.random_instances import random_instance
from tests.solvers.tsp.tsplib_texts import explicit

Order = tuple[int, ...]
FixedEdge = tuple[int, int]


def random_ends(random: Random, num_nodes: int, *, open_path: float = 0.8) -> dict[str, Any]:
    """`start`, `end` and `round_trip` that do not contradict each other."""
    round_trip = random.random() > open_path
    start = random.choice([None, random.randrange(num_nodes)])
    end = None if round_trip else random.choice([None, random.randrange(num_nodes)])
    if end == start and num_nodes > 1:
        end = None
    return {"start": start, "end": end, "round_trip": round_trip}


def random_with_ends(random: Random, nodes: range) -> TspInstance:
    """An instance of any form but tsplib."""
    instance = random_instance(random, nodes)
    return instance.model_copy(update=random_ends(random, instance.node_count))


def random_file(random: Random, nodes: range) -> tuple[TspInstance, Costs, list[FixedEdge]]:
    """An instance of the form tsplib with its costs and fixed edges (both ways but for an ATSP)."""
    num_nodes, kind = random.choice(nodes), random.choice(["TSP", "ATSP"])
    costs = [[random.randint(0, 9) for _ in range(num_nodes)] for _ in range(num_nodes)]
    if kind == "TSP":
        costs = [[costs[min(i, j)][max(i, j)] for j in range(num_nodes)] for i in range(num_nodes)]
    pairs = list(permutations(range(num_nodes), 2))
    fixed = random.choices(pairs, k=random.choice([0, 1, 1, 2, 3])) if pairs else []
    text = explicit(costs, kind=kind)
    if fixed:
        listed = "".join(f"{a + 1} {b + 1}\n" for a, b in fixed)
        text = text.replace("EOF", f"FIXED_EDGES_SECTION\n{listed}-1\nEOF")
    return TspInstance(tsplib=text, **random_ends(random, num_nodes)), costs, fixed


def cost_along(instance: TspInstance, costs: Costs, order: Order) -> int | None:
    """What an order of all nodes costs, None where the instance does not allow it."""
    first = 0 if instance.round_trip and instance.start is None else instance.start
    if first not in {None, order[0]} or instance.end not in {None, order[-1]}:
        return None
    steps = list(pairwise(order))
    if instance.round_trip and len(order) > 1:
        steps.append((order[-1], order[0]))
    total = 0
    for a, b in steps:
        cost = costs[a][b]
        if cost is None:
            return None
        total += cost
    return total


def allowed_orders(
    instance: TspInstance, costs: Costs | None = None, fixed: list[FixedEdge] | None = None
) -> dict[Order, int]:
    """Every tour of the instance with its cost."""
    costs = costs_of(instance) if costs is None else costs
    directed = instance.tsplib is None or "TYPE: ATSP" in instance.tsplib
    found = {}
    for order in permutations(range(len(costs))):
        cost = cost_along(instance, costs, order)
        if cost is not None and _has(instance, order, fixed or [], directed=directed):
            found[order] = cost
    return found


def _has(instance: TspInstance, order: Order, fixed: list[FixedEdge], *, directed: bool) -> bool:
    steps = set(pairwise(order))
    if instance.round_trip:
        steps.add((order[-1], order[0]))
    return all((a, b) in steps or (not directed and (b, a) in steps) for a, b in fixed)
