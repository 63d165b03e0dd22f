"""Runs solvers in a child process that may crash, hang or run out of memory without harm."""

from optimized_tsp.solvers.process.messages import (
    LOG_BYTES,
    LogLine,
    Progress,
    SolverCrashed,
    SolveReport,
    SolveRequest,
    SolverFault,
    log_line_bytes,
)
from optimized_tsp.solvers.process.runner import ChildLimits, SolverProcess

__all__ = [
    "ChildLimits",
    "LOG_BYTES",
    "LogLine",
    "Progress",
    "SolveReport",
    "SolveRequest",
    "SolverCrashed",
    "SolverFault",
    "SolverProcess",
    "log_line_bytes",
]
