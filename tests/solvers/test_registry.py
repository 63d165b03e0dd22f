"""Which solvers of installed packages are served, and what is said about the others."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from optimized_tsp.solvers.registry import AnySolver, UnfitSolver, all_solvers, find_solver

MODULE = """
from optimized_tsp.solvers.contract import StrictModel
from optimized_tsp.solvers.knapsack import KnapsackSolver

class Routes(StrictModel):
    node_order: list[list[int]]
    cost: int

class Costless(StrictModel):
    value: int

class Mine(KnapsackSolver):
    name = "mine"

class Taken(KnapsackSolver):
    pass

class BadName(KnapsackSolver):
    name = "Bin Packing"

class BadVersion(KnapsackSolver):
    version = "2"

class NoCost(Mine):
    solution_type = Costless

class NoTour(Mine):
    solution_type = Routes

class HalfFormatting(Mine):
    readers = {}
    writers = {}

class Broken(Mine):
    def __init__(self):
        raise RuntimeError("no licence found")
"""

Load = Callable[[str], dict[tuple[str, str], AnySolver]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """All solvers with a package installed that offers one class of the module above."""

    def load(offered: str) -> dict[tuple[str, str], AnySolver]:
        (tmp_path / "my_solvers.py").write_text(MODULE)
        folder = tmp_path / "my_solvers-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: my-solvers\nVersion: 1.0\n")
        points = f"[optimized_tsp.solvers]\noffered = {offered}\n"
        (folder / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "my_solvers", raising=False)
        return all_solvers.__wrapped__()

    return load


def test_ours_are_there_and_others_are_not() -> None:
    assert {("tsp", "v1"), ("knapsack", "v1")} <= set(all_solvers())
    assert find_solver("knapsack", "v1") is all_solvers()["knapsack", "v1"]
    assert find_solver("knapsack", "v0") is None


def test_a_solver_of_an_installed_package_stands_beside_ours(load: Load) -> None:
    solvers = load("my_solvers:Mine")
    assert {("tsp", "v1"), ("knapsack", "v1"), ("mine", "v1")} <= set(solvers)


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        ("my_solvers:Taken", "there is a solver knapsack v1 already"),
        ("my_solvers:BadName", "not 'Bin Packing' and 'v1'"),
        ("my_solvers:BadVersion", "not 'knapsack' and '2'"),
        ("my_solvers:NoCost", "its solutions have no field `cost`"),
        ("my_solvers:NoTour", "must be a list[int]"),
        ("my_solvers:HalfFormatting", "other types than JSON take readers, writers, beside"),
        ("my_solvers:Broken", "it cannot be loaded (RuntimeError: no licence found)"),
        ("my_solvers:Missing", "it cannot be loaded (AttributeError"),
        ("my_other_solvers:Mine", "it cannot be loaded (ModuleNotFoundError"),
    ],
)
def test_a_solver_that_cannot_be_served_is_named_with_its_package(
    load: Load, offered: str, reason: str
) -> None:
    with pytest.raises(UnfitSolver, match=re.escape(reason)) as caught:
        load(offered)
    assert f"The solver {offered} of my-solvers cannot be served" in str(caught.value)
