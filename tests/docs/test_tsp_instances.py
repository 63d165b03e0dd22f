"""docs/tsp-instances.md names everything that is read, and its example is one."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import get_args

import pytest

from optimized_tsp.solvers.tsp import TspInstance, TspSolver
from optimized_tsp.solvers.tsp.formats import READERS, WRITERS
from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT
from optimized_tsp.solvers.tsp.spatial_metrics import SPATIAL_METRICS
from optimized_tsp.solvers.tsp.tsplib import PlanarMetric

PAGE = (Path(__file__).parents[2] / "docs" / "tsp-instances.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("example", "num_nodes", "cost"),
    list(zip(EXAMPLES, [4, 4, 4, 3], [60, 30, 50, 12], strict=True)),
)
def test_the_examples_are_instances_of_that_cost(example: str, num_nodes: int, cost: int) -> None:
    instance, solver = TspInstance.model_validate_json(example), TspSolver()
    solver.validate(instance)
    assert solver.size(instance).num_nodes == num_nodes
    outcome = solver.solve(
        instance,
        solver.parameters_type(timeout=30.0),
        seed=0,
        stop=threading.Event(),
        on_incumbent=lambda _: None,
        start=None,
    )
    assert outcome.cost == outcome.lower_bound == cost


@pytest.mark.parametrize(
    "name",
    [*TspInstance.model_fields, *get_args(PlanarMetric), *SPATIAL_METRICS, *READERS, *WRITERS],
)
def test_it_is_on_the_page(name: str) -> None:
    assert re.search(rf"(?<![\w/]){re.escape(name)}(?![\w-])", PAGE)


def test_the_limit_of_fixed_edges_is_the_real_one() -> None:
    assert f"{DENSE_LIMIT:,} nodes" in PAGE
