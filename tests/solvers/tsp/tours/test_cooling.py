"""Heat falls within a cycle, cycles grow, and the last one fits into what is left."""

from __future__ import annotations

import math

from optimized_tsp.solvers.tsp.tours.cooling import Cooling


def cycle(cooling: Cooling, most: float, at_once: int = 10**9) -> list[tuple[int, float]]:
    """Kicks and their heat, until a cycle ends."""
    spent: list[tuple[int, float]] = []
    ended = False
    while not ended:
        cooling.begin(most)
        kicks = min(at_once, cooling.left_in_step())
        assert kicks > 0
        spent.append((kicks, cooling.heat(1_000.0)))
        ended = cooling.spend(kicks)
    return spent


def test_heat_falls_in_a_cycle_and_cycles_grow() -> None:
    cooling = Cooling(500)
    first, second = cycle(cooling, math.inf), cycle(cooling, math.inf)
    for one in (first, second):
        heats = [heat for _, heat in one]
        assert heats == sorted(heats, reverse=True)
        assert 0 < heats[-1] < 0.1 * heats[0]
    assert sum(kicks for kicks, _ in second) == 2 * sum(kicks for kicks, _ in first)
    assert second[0][1] > first[0][1]


def test_a_cycle_fits_into_what_is_left() -> None:
    assert sum(kicks for kicks, _ in cycle(Cooling(500), 100.0)) == 100
    longer = 1.4 * sum(kicks for kicks, _ in cycle(Cooling(500), math.inf))
    assert sum(kicks for kicks, _ in cycle(Cooling(500), longer)) == int(longer)


def test_heat_depends_on_kicks_alone_however_they_are_cut() -> None:
    def heats(at_once: int) -> list[float]:
        spent = cycle(Cooling(300), math.inf, at_once)
        return [heat for kicks, heat in spent for _ in range(kicks)]

    assert heats(7) == heats(10**9)
