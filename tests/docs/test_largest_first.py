"""What every solver must do, for the one in the example package."""

from __future__ import annotations

import importlib
import random
from pathlib import Path
from typing import Any

import pytest

from optimized_tsp.solvers.registry import AnySolver
from tests.solvers.conformance import SolverConformance

TRIANGLE_AND_TAIL = {"num_nodes": 4, "edges": [[0, 1], [1, 2], [2, 0], [2, 3]]}


class TestLargestFirst(SolverConformance):
    @pytest.fixture(autouse=True)
    def _on_the_path(self, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(installed))
        monkeypatch.setenv("PYTHONPATH", str(installed))  # for processes of a test

    def solver(self) -> AnySolver:
        solver: AnySolver = importlib.import_module("largest_first").ColoringSolver()
        return solver

    def easy(self) -> tuple[dict[str, Any], int]:
        return TRIANGLE_AND_TAIL, 3

    def slow(self) -> dict[str, Any]:
        """Any two nodes are neighbours with probability 1/2: cliques prove next to nothing."""
        chance, num_nodes = random.Random(1), 600
        pairs = [[i, j] for i in range(num_nodes) for j in range(i) if chance.random() < 0.5]
        return {"num_nodes": num_nodes, "edges": pairs}

    def wrong(self) -> dict[str, Any]:
        return {"colors": [0, 1, 2, 2], "cost": 3}
