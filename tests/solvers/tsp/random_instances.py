"""Random small instances of every form: sparse, asymmetric, infeasible, with duplicate edges."""

from __future__ import annotations

from random import Random
from typing import get_args

from optimized_tsp.solvers.tsp import Edge, TspInstance
from optimized_tsp.solvers.tsp.schemas import COST_LIMIT, Metric


def random_instance(random: Random, nodes: range) -> TspInstance:
    """An instance with a number of nodes from `nodes`."""
    num_nodes = random.choice(nodes)
    form = random.choice([_random_edges, _random_edges, _random_matrix, _random_coordinates])
    return form(random, num_nodes)


def _largest_cost(random: Random, num_nodes: int) -> int:
    return random.choice([1, 10, 1_000, 10**6, (COST_LIMIT - 1) // num_nodes])


def _random_edges(random: Random, num_nodes: int) -> TspInstance:
    largest = _largest_cost(random, num_nodes)
    density = random.choice([1.0, 0.7, 0.5, 0.35])
    edges = [
        Edge(source, target, random.randint(0, largest))
        for source in range(num_nodes)
        for target in range(num_nodes)
        for _ in range(random.choice([1, 1, 1, 2, 3]))
        if source != target and random.random() < density
    ]
    if random.random() < 0.4:
        edges += [Edge(edge.target, edge.source, edge.cost) for edge in edges]
    if random.random() < 0.4 and num_nodes > 1:
        order = random.sample(range(num_nodes), num_nodes)
        steps = zip(order, order[1:] + order[:1], strict=True)
        edges += [Edge(a, b, random.randint(0, largest)) for a, b in steps]
    random.shuffle(edges)
    return TspInstance(num_nodes=num_nodes, edges=edges)


def _random_matrix(random: Random, num_nodes: int) -> TspInstance:
    largest = _largest_cost(random, num_nodes)
    missing = random.choice([0.0, 0.0, 0.2, 0.5])
    matrix = [
        [
            None if random.random() < missing else random.randint(0, largest)
            for _ in range(num_nodes)
        ]
        for _ in range(num_nodes)
    ]
    if random.random() < 0.5:
        for i in range(num_nodes):
            for j in range(i):
                matrix[i][j] = matrix[j][i]
    return TspInstance(matrix=matrix)


def _random_coordinates(random: Random, num_nodes: int) -> TspInstance:
    span = random.choice([1, 5, 89])
    coordinates = [
        [random.uniform(-span, span), random.uniform(-span, span)] for _ in range(num_nodes)
    ]
    if random.random() < 0.4:
        # On a grid: equal distances, and points in the same place.
        coordinates = [[float(round(x)), float(round(y))] for x, y in coordinates]
    metric: Metric = random.choice(get_args(Metric))
    scale = random.choice([1.0, 0.5, 1000.0])
    return TspInstance(coordinates=coordinates, metric=metric, scale=scale)
