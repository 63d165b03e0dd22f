"""Nobody can take all attempts: not by many URLs of one server, not by many servers."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import pytest

from optimized_tsp.core.ids import DEFAULT_TENANT_ID, new_id
from optimized_tsp.webhooks.shares import Shares
from tests.crowding import crowding
from tests.webhooks import receiver as strangers
from tests.webhooks.conftest import Deliver, Outbox
from tests.webhooks.receiver import answer, receiver

ALL = 128
ONE, OTHER = new_id(), new_id()


@dataclass(frozen=True)
class Of:
    tenant_id: UUID
    host: str


def fill(wanted: list[Of]) -> Counter[Of]:
    """What each has when all want more than there is, look after look."""
    under_way: list[Of] = []
    for _ in range(20):
        shares = Shares(ALL - len(under_way), under_way)
        ids = {new_id(): of for of in wanted}
        given = shares.hand_out([(endpoint, of, 4) for endpoint, of in ids.items()])
        under_way += [ids[endpoint] for endpoint, number in given.items() for _ in range(number)]
    return Counter(under_way)


def test_one_host_gets_half_of_all_and_one_tenant_three_quarters() -> None:
    assert fill([Of(ONE, "a")] * 100) == {Of(ONE, "a"): ALL // 2}
    many_hosts = fill([Of(ONE, str(host)) for host in range(100)])
    assert many_hosts.total() == 3 * ALL // 4


def test_tenants_that_want_the_same_get_the_same_and_something_is_left() -> None:
    tenants = [new_id() for _ in range(5)]
    given = fill([Of(tenant, str(host)) for host in range(100) for tenant in tenants])
    shares = {
        tenant: sum(n for of, n in given.items() if of.tenant_id == tenant) for tenant in tenants
    }
    assert set(shares.values()) == {24}
    assert given.total() == 120


def test_who_has_little_gets_something_beside_who_has_all_it_may() -> None:
    under_way = [Of(ONE, str(host)) for host in range(96)]
    shares = Shares(ALL - 96, under_way)
    assert shares.full_tenants == [ONE]
    mine, others = new_id(), new_id()
    assert shares.hand_out([(mine, Of(ONE, "new"), 4), (others, Of(OTHER, "a"), 4)]) == {others: 4}


def test_the_last_one_is_free_for_who_has_none() -> None:
    shares = Shares(1, [Of(ONE, "a")] * (ALL - 1))
    assert shares.full_hosts == [f"{ONE} a"]
    endpoint = new_id()
    assert shares.hand_out([(endpoint, Of(OTHER, "a"), 4)]) == {endpoint: 1}
    assert shares.hand_out([(endpoint, Of(OTHER, "b"), 4)]) == {}


@pytest.mark.parametrize("tenant", [DEFAULT_TENANT_ID, OTHER], ids=["its own", "another"])
async def test_a_dead_server_with_a_url_for_each_job_keeps_nobody_waiting(
    outbox: Outbox, deliver: Deliver, tenant: UUID
) -> None:
    """As many endpoints as jobs, none of which has failed before."""
    async with receiver(strangers.hang) as bad, receiver(answer()) as good:
        for job in range(2 * ALL):
            await outbox.owe(await outbox.endpoint(bad.url(path=f"/jobs/{job}")))
        endpoint = await outbox.endpoint(good.url(), tenant)
        deliver(timeout_s=60.0)
        await bad.until(lambda bad: bad.present >= ALL // 2)
        begun = time.monotonic()
        await outbox.owe(endpoint, 4)
        await good.until(lambda good: len(good.received) == 4)

    # The others hang for a minute; a look at so many endpoints takes a slow machine its time.
    assert max(request.at for request in good.received) - begun < 5 * crowding(begun)
    assert bad.most_present == ALL // 2
