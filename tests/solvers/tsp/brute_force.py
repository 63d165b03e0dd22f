"""The reference: costs by the definition, optimal tours by trying everything."""

from __future__ import annotations

from collections.abc import Sequence

from optimized_tsp.solvers.tsp import TspInstance
from optimized_tsp.solvers.tsp.metrics import distance_rule

Costs = Sequence[Sequence[int | None]]


def costs_of(instance: TspInstance) -> Costs:
    """The cost between any two nodes, None where there is no edge."""
    if instance.coordinates is not None and instance.metric is not None:
        distance = distance_rule(instance.metric)
        return [
            [distance(a, b, instance.scale) for b in instance.coordinates]
            for a in instance.coordinates
        ]
    if instance.matrix is not None:
        return instance.matrix
    costs: list[list[int | None]] = [
        [None] * instance.node_count for _ in range(instance.node_count)
    ]
    for edge in instance.edges or []:
        known = costs[edge.source][edge.target]
        if known is None or edge.cost < known:
            costs[edge.source][edge.target] = edge.cost
    return costs


def optimal_cost(costs: Costs) -> int | None:
    """Cost of the cheapest tour, None without one (Bellman, Held and Karp: all subsets)."""
    last = len(costs) - 1
    if last == 0:
        return 0
    # best[subset][node]: cheapest way from node `last` through the subset, ending at the node.
    best: list[dict[int, int]] = [{} for _ in range(1 << last)]
    for node in range(last):
        first = costs[last][node]
        if first is not None:
            best[1 << node][node] = first
    for subset in range(1, 1 << last):
        for node, cost in best[subset].items():
            for following in range(last):
                step = costs[node][following]
                if step is None or subset >> following & 1:
                    continue
                ways = best[subset | 1 << following]
                ways[following] = min(ways.get(following, cost + step), cost + step)
    back = [(cost, costs[node][last]) for node, cost in best[-1].items()]
    return min((cost + step for cost, step in back if step is not None), default=None)
