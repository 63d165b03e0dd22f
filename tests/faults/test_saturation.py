"""A machine without idle CPU costs no job its lease; `make soak` looks for half an hour."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.faults.cluster import running_cluster
from tests.faults.full_machine import LATE_S, Full, Measured, judge_calm, report
from tests.faults.saturation import Saturation
from tests.stack import public_folder

FULL = Full(seconds=60, lease_s=6)
CALM = Measured(
    cpu_percents=[100.0, 99.8],
    renewals=9,
    silences=[2.0, 2.4],
    overruns=[-7.0, 0.3],
    cancels=[0.4],
    said=Counter(database_unavailable=1),
)


@pytest.mark.timeout(300)
async def test_no_lease_is_lost_on_a_machine_without_idle_cpu() -> None:
    full = Full(seconds=15, workers=2, lease_s=6, limits_s=(3, 6))

    with public_folder() as folder:
        async with running_cluster(folder, workers=2, settings=full.settings()) as cluster:
            measured = await Saturation(cluster, full).run()

    assert measured.wrong == [], report(full, measured)
    assert measured.jobs >= full.workers + 2


def test_what_is_calm_is_not_wrong() -> None:
    assert judge_calm(FULL, CALM) == []


@pytest.mark.parametrize(
    "otherwise",
    [
        {"cpu_percents": [100.0, 90.0]},
        {"renewals": 0},
        {"silences": [2.0, FULL.lease_s + 0.1]},
        {"overruns": [LATE_S + 0.1]},
        {"cancels": [LATE_S + 0.1]},
        {"said": Counter(lease_lost=1)},
        {"said": Counter(solver_crashed=1)},
        {"rescues": 1},
    ],
    ids=lambda otherwise: next(iter(otherwise)),
)
def test_what_is_not_calm_is_seen(otherwise: dict[str, object]) -> None:
    assert len(judge_calm(FULL, replace(CALM, **otherwise))) == 1  # type: ignore[arg-type]
