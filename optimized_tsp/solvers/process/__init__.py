"""Runs solvers in a child process that may crash, hang or run out of memory without harm."""

from optimized_tsp.solvers.process.messages import (
    Progress,
    SolverCrashed,
    SolveReport,
    SolveRequest,
    SolverFault,
)
from optimized_tsp.solvers.process.runner import ChildLimits, SolverProcess

__all__ = [
    "ChildLimits",
    "Progress",
    "SolveReport",
    "SolveRequest",
    "SolverCrashed",
    "SolverFault",
    "SolverProcess",
]
