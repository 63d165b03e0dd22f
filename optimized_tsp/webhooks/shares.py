"""Who may have how many of a process's attempts: nobody can take them all.

The dynamic thresholds of Choudhury and Hahne ("Dynamic queue length thresholds for shared-memory
packet switches", IEEE/ACM Transactions on Networking 6(2), 1998): what one may have is a multiple
of what is free. Alone one gets much; together with others less; something is always left for the
next one to come. It holds for tenants, and within them for hosts: a dead server to which every job
has a URL of its own is many endpoints, and none of them has failed yet.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

__all__ = ["Shares", "Wanting", "in_turns"]

# Alone, a tenant has three quarters of all attempts, and one host of it a half.
_OF_TENANT = 3
_OF_HOST = 1


class Wanting(Protocol):
    """An endpoint that is owed something, or an attempt under way to one."""

    @property
    def tenant_id(self) -> UUID: ...
    @property
    def host(self) -> str: ...


class Candidate(Wanting, Protocol):
    """An endpoint that may be asked now."""

    @property
    def failing(self) -> bool: ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


class Shares:
    """Hands out `free` attempts, beside those under way."""

    def __init__(self, free: int, under_way: Iterable[Wanting]) -> None:
        self._free = free
        self._of_tenant: Counter[UUID] = Counter()
        self._of_host: Counter[tuple[UUID, str]] = Counter()
        for attempt in under_way:
            self._count(attempt)

    @property
    def full_tenants(self) -> list[UUID]:
        """Who may have nothing more for now."""
        return [tenant for tenant in self._of_tenant if self._is_full(tenant)]

    @property
    def full_hosts(self) -> list[str]:
        """Hosts that may have nothing more for now, each as `tenant_id host`."""
        return [
            f"{tenant} {host}"
            for (tenant, host), number in self._of_host.items()
            if number >= _OF_HOST * self._free
        ]

    def hand_out(self, wanted: Sequence[tuple[UUID, Wanting, int]]) -> dict[UUID, int]:
        """How many each of these may have: (endpoint, whose it is, how many it wants), in turns."""
        given: Counter[UUID] = Counter()
        for turn in range(max((number for *_, number in wanted), default=0)):
            for endpoint_id, of, number in wanted:
                if turn < number and self._take(of):
                    given[endpoint_id] += 1
        return dict(given)

    def _take(self, of: Wanting) -> bool:
        host_is_full = self._of_host[of.tenant_id, of.host] >= _OF_HOST * self._free
        if host_is_full or self._is_full(of.tenant_id):
            return False
        self._count(of)
        self._free -= 1
        return True

    def _is_full(self, tenant_id: UUID) -> bool:
        return self._of_tenant[tenant_id] >= _OF_TENANT * self._free

    def _count(self, of: Wanting) -> None:
        self._of_tenant[of.tenant_id] += 1
        self._of_host[of.tenant_id, of.host] += 1


def in_turns(wanting: Iterable[CandidateT]) -> list[CandidateT]:
    """In what order they are asked: tenants take turns, and their hosts; chance decides the rest.

    Whoever failed last time comes after all that did not.
    """
    rows = list(wanting)
    random.shuffle(rows)
    rows.sort(key=lambda row: row.failing)
    of_hosts = _by_turn(rows, lambda row: (row.tenant_id, row.host))
    return _by_turn(of_hosts, lambda row: row.tenant_id)


def _by_turn(
    rows: Iterable[CandidateT], group: Callable[[CandidateT], Hashable]
) -> list[CandidateT]:
    """The first of every group, then their second ones, and so on."""
    had: Counter[Hashable] = Counter()
    ranked = []
    for row in rows:
        ranked.append((row.failing, had[group(row)], row))
        had[group(row)] += 1
    ranked.sort(key=lambda rank: rank[:2])
    return [row for *_, row in ranked]
