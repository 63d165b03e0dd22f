"""The bound of the relaxation, and what it decides, against every selection there is."""

from __future__ import annotations

import pytest

from optimized_tsp.solvers.knapsack.relaxation import Candidates, Relaxation
from tests.solvers.knapsack.instances import (
    KINDS,
    Kind,
    knapsack,
    random_knapsack,
    selections_that_fit,
    total,
)


@pytest.mark.parametrize("kind", KINDS)
def test_no_selection_is_worth_more_than_the_bound_or_differs_in_what_is_decided(
    kind: Kind,
) -> None:
    for seed in range(60):
        instance = random_knapsack(kind, num_items=1 + seed % 9, largest=20, seed=seed)
        candidates = Candidates.of(instance)
        relaxation = Relaxation.at_break_item(candidates)
        worth = {s: total(instance, s).value for s in selections_that_fit(instance)}
        for value in range(max(worth.values())):
            undecided = set(relaxation.undecided(value))
            decided = {
                number: relaxation.takes(place)
                for place, number in enumerate(candidates.numbers)
                if place not in undecided
            }
            for selection in (s for s in worth if worth[s] > value):
                assert worth[selection] <= relaxation.value_bound
                assert all(selection[number] == takes for number, takes in decided.items())


def test_the_bound_is_that_of_the_fractional_problem() -> None:
    # given items of 6, 5 and 4 per unit, and room for the first, the second and half of the third
    instance = knapsack([(60, 10), (100, 20), (120, 30)], capacity=45)

    relaxation = Relaxation.at_break_item(Candidates.of(instance))

    assert relaxation.value_bound == 60 + 100 + 120 // 2


def test_when_everything_fits_the_bound_is_everything() -> None:
    relaxation = Relaxation.at_break_item(Candidates.of(knapsack([(3, 1), (0, 5), (2, 0)], 6)))
    assert relaxation.value_bound == 5
    assert relaxation.undecided(5) == []


def test_the_bound_is_exact_for_the_largest_numbers() -> None:
    # given numbers whose products need 106 bits: in doubles the bound would be wrong
    instance = knapsack([(2**52 + 1, 2**52 - 1), (2**51 + 1, 2**51)], capacity=2**52)

    relaxation = Relaxation.at_break_item(Candidates.of(instance))

    # then it is 2^52 + 1 and the value of one unit of weight, 1 + 2^-51, rounded down
    assert relaxation.value_bound == 2**52 + 2


def test_items_without_value_and_items_that_do_not_fit_alone_are_no_candidates() -> None:
    instance = knapsack([(0, 1), (9, 11), (5, 10), (7, 0)], capacity=10)
    assert sorted(Candidates.of(instance).numbers) == [2, 3]
