"""The program of a worker of the tree: what is tried on it leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

from optimized_tsp.solvers.tsp.branching.node import Decision, EdgeDecision, Node, SetDecision
from optimized_tsp.solvers.tsp.branching.subproblem import Subproblem, Verdict
from optimized_tsp.solvers.tsp.relaxation import RootRelaxation, SymmetricProblem
from optimized_tsp.solvers.tsp.relaxation.cuts import CutKind, subtour
from tests.solvers.tsp.relaxation.problems import (
    Listening,
    points_matrix,
    random_points,
    some_tour,
)


class BrokenOff(Exception):
    """Something went wrong in the middle of a trial."""


def solved_root() -> Subproblem:
    """A subproblem at the root of the tree, solved and with something left to branch on."""
    points = random_points(45, 3) // np.array([1, 8])
    problem = SymmetricProblem(points_matrix(points))
    listening = Listening(problem, some_tour(problem, 3))
    relaxation = RootRelaxation(problem, some_tour(problem, 3), listening.listener)
    relaxation.run()
    core = relaxation.core(None)
    assert core is not None
    subproblem = Subproblem(
        problem, core, relaxation.cuts, over=lambda: False, upper_bound=lambda: None
    )
    assert subproblem.enter(Node(core.bound))
    assert subproblem.solve(price=False) is Verdict.SOLVED
    return subproblem


def decisions(subproblem: Subproblem) -> list[Decision]:
    """An edge, a set of nodes that is new to the program, and one that it has a row for."""
    values = subproblem.lp.values
    fractional = int(np.argmax(values * (1 - values)))
    known = next(row.cut for row in subproblem.lp.rows if row.cut.rhs == 2)
    few = np.arange(subproblem.problem.num_nodes) < 3
    new = subtour(few, CutKind.BRANCH)
    assert new is not None
    assert subproblem.lp.row_of(new) is None
    return [
        EdgeDecision(subproblem.edge_of_column(fractional), used=False),
        EdgeDecision(subproblem.edge_of_column(fractional), used=True),
        SetDecision(new, closed=False),
        SetDecision(known, closed=False),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_trial_that_is_broken_off_leaves_the_program_as_it_was(number: int) -> None:
    subproblem = solved_root()
    decision = decisions(subproblem)[number]
    objective, rows = subproblem.lp.objective, subproblem.lp.lp.num_rows
    bounds = subproblem.lower.tolist(), subproblem.upper.tolist()

    with pytest.raises(BrokenOff), subproblem._tried(decision):
        raise BrokenOff

    assert (subproblem.lower.tolist(), subproblem.upper.tolist()) == bounds
    assert subproblem.lp.lp.num_rows == rows
    assert subproblem.solve(price=False) is Verdict.SOLVED
    assert subproblem.lp.objective == pytest.approx(objective)


def test_after_trials_that_were_broken_off_the_program_is_the_old_one() -> None:
    subproblem = solved_root()
    program = subproblem.lp.lp

    with pytest.raises(BrokenOff), subproblem.trials():
        raise BrokenOff

    assert subproblem.lp.lp is program
