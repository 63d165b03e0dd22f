"""The REST calls on jobs, once per registered solver and version."""

from __future__ import annotations

from fastapi import APIRouter

from optimized_tsp.jobs.endpoints import change, events, log, read, submit
from optimized_tsp.jobs.endpoints.scope import solver_prefix
from optimized_tsp.solvers.registry import AnySolver, all_solvers

__all__ = ["build_jobs_routers", "solver_prefix"]


def build_jobs_routers() -> list[APIRouter]:
    """One router per registered solver, with that solver's own schemas."""
    return [_router(solver) for solver in all_solvers().values()]


def _router(solver: AnySolver) -> APIRouter:
    router = APIRouter(prefix=solver_prefix(solver), tags=[f"{solver.name} {solver.version}"])
    for part in (submit, read, events, log, change):
        part.add_calls(router, solver)
    return router
