"""What a contender did with an instance in its time: tours and bounds, and when."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Point", "Trace"]


@dataclass(frozen=True, slots=True)
class Point:
    """The best cost and bound `at_s` seconds after the call began; None while there is none."""

    at_s: float
    cost: int | None
    bound: float | None


@dataclass(slots=True)
class Trace:
    """One solve by one contender. `wall_s` is the whole call after imports, `peak_mib` the process.

    `failure` says in a word why there is no result, for instance that symmetry is needed.
    """

    contender: str
    instance: str
    num_nodes: int
    limit_s: float
    points: list[Point] = field(default_factory=list)
    wall_s: float = 0.0
    proven: bool = False
    peak_mib: float | None = None
    failure: str | None = None
    statistics: dict[str, Any] = field(default_factory=dict)

    @property
    def cost(self) -> int | None:
        return self.points[-1].cost if self.points else None

    @property
    def bound(self) -> float | None:
        return self.points[-1].bound if self.points else None

    def cost_at(self, seconds: float) -> int | None:
        """The best cost known then."""
        known = [point.cost for point in self.points if point.at_s <= seconds]
        return known[-1] if known else None

    def first_tour_s(self) -> float | None:
        return next((point.at_s for point in self.points if point.cost is not None), None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Trace:
        points = [Point(**point) for point in value.pop("points")]
        return cls(points=points, **value)
