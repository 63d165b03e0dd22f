"""Five hundred random instances against the truth, by every engine; `make soak` takes thousands."""

from __future__ import annotations

import pytest

from tests.solvers.tsp.truth import (
    ENGINES,
    SMALL,
    Truth,
    assert_answer_is_true,
    naive_truth_of,
    random_case,
    truth_of,
)

_SMALL_CASES, _LARGER_CASES = 440, 60
_AT_ONCE = 20
_AUTO_EVERY = 5


def assert_true_by_every_engine(seed: int, sizes: range) -> None:
    """`auto` is one of the other two, so it takes part only now and then."""
    case = random_case(seed, sizes)
    truth = truth_of(case.costs)
    for engine in ENGINES:
        if engine != "auto" or seed % _AUTO_EVERY == 0:
            assert_answer_is_true(case, truth, engine)


@pytest.mark.parametrize("first", range(0, _SMALL_CASES, _AT_ONCE))
def test_small_instances_equal_the_dynamic_program(first: int) -> None:
    for seed in range(first, first + _AT_ONCE):
        assert_true_by_every_engine(seed, range(1, SMALL + 1))


@pytest.mark.parametrize("first", range(10_000, 10_000 + _LARGER_CASES, _AT_ONCE))
def test_larger_instances_equal_naive_cp_sat(first: int) -> None:
    for seed in range(first, first + _AT_ONCE):
        assert_true_by_every_engine(seed, range(SMALL + 1, 19))


def test_both_truths_agree() -> None:
    """The naive model, on instances that the dynamic program has settled."""
    for seed in range(40):
        costs = random_case(seed, range(2, SMALL + 1)).costs
        optimum, naive = truth_of(costs).most, naive_truth_of(costs)
        if optimum is None or naive.least is None or naive.most is None:
            assert (optimum, naive) == (None, Truth(None, None))
        else:
            assert naive.least <= optimum <= naive.most


def test_a_truth_says_whether_it_is_known() -> None:
    assert Truth(4, 4).known
    assert Truth(None, None).known
    assert not Truth(3, 4).known
