"""docs/tsp-instances.md names everything that is read, and its example is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from optimized_tsp.solvers.tsp import TspInstance, TspSolver
from optimized_tsp.solvers.tsp.formats import READERS, WRITERS
from optimized_tsp.solvers.tsp.graph import DENSE_LIMIT
from optimized_tsp.solvers.tsp.spatial_metrics import SPATIAL_METRICS
from optimized_tsp.solvers.tsp.tsplib import PlanarMetric

PAGE = (Path(__file__).parents[2] / "docs" / "tsp-instances.md").read_text(encoding="utf-8")


def test_the_example_is_an_instance() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    instance = TspInstance.model_validate_json(example)
    TspSolver().validate(instance)
    assert TspSolver().size(instance).num_nodes == 3


@pytest.mark.parametrize(
    "name",
    [*TspInstance.model_fields, *get_args(PlanarMetric), *SPATIAL_METRICS, *READERS, *WRITERS],
)
def test_it_is_on_the_page(name: str) -> None:
    assert re.search(rf"(?<![\w/]){re.escape(name)}(?![\w-])", PAGE)


def test_the_limit_of_fixed_edges_is_the_real_one() -> None:
    assert f"{DENSE_LIMIT:,} nodes" in PAGE
