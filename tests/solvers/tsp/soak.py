"""Thousands of random instances against the truth: `python -m tests.solvers.tsp.soak`.

A failure names the seed of its instance; `--first SEED --count 1` repeats it.
"""

from __future__ import annotations

import argparse
import sys
import traceback

from rich.progress import track

from tests.solvers.tsp.truth import (
    ENGINES,
    LARGEST,
    SMALL,
    assert_answer_is_true,
    random_case,
    truth_of,
)

_LARGER_EVERY = 10
_SHOWN_FAILURES = 10


def main() -> int:
    """Run, show each failure, return 1 if there was any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=100_000, help="the first seed")
    parser.add_argument("--count", type=int, default=5_000, help="instances")
    arguments = parser.parse_args()
    failures = unknown = 0
    seeds = range(arguments.first, arguments.first + arguments.count)
    for seed in track(seeds, description="Random instances"):
        larger = seed % _LARGER_EVERY == 0
        case = random_case(seed, range(SMALL + 1, LARGEST + 1) if larger else range(1, SMALL + 1))
        truth = truth_of(case.costs)
        unknown += not truth.known
        try:
            assert_answer_is_true(case, truth, ENGINES[seed // _LARGER_EVERY % len(ENGINES)])
        except Exception:  # noqa: BLE001 - shown, and counted
            failures += 1
            sys.stdout.write(f"seed {seed}:\n{traceback.format_exc()}\n")
            if failures == _SHOWN_FAILURES:
                break
    sys.stdout.write(
        f"{len(seeds)} instances from seed {seeds.start}: {failures} failures; "
        f"{unknown} optima known only between bounds\n"
    )
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
