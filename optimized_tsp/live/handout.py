"""New events on their way to very many clients: each is encoded once, whoever gets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from optimized_tsp.events.filter import EventFilter, Wanted
from optimized_tsp.events.types import JobEvent
from optimized_tsp.live.frames import websocket_frame
from optimized_tsp.live.outbox import Batch, Frame, Outbox

__all__ = ["HandOut"]

# What is written to a socket in one go: more than this is more than its buffers should hold.
_BATCH_BYTES = 64 * 1024
# Subscriptions that are told apart; anybody can make up tags, and history keeps what it handed out.
_SHARED = 2000


class HandOut:
    """Some events in feed order, and for every client those of them that it wants.

    Clients that subscribed to the same share the work: which events they want is found out once.
    """

    def __init__(self, events: Sequence[JobEvent]) -> None:
        self._events = events
        self._frames: dict[int, tuple[Frame, bytes]] = {}
        # By the identity of the filter, which is faster than by its value; feeds keep one of each.
        # It is kept here, too, as a later one must not be taken for it.
        self._shared: dict[int, tuple[EventFilter | None, list[Batch]]] = {}
        self._given: list[Batch] = []

    def wanted_by(self, outbox: Outbox) -> list[Batch]:
        """What the client gets of the events; it is counted as given to it."""
        batches = self.wanted(outbox.wanted, after=outbox.after)
        for batch in batches:
            if batch.clients == 0:
                self._given.append(batch)
            batch.clients += 1
        return batches

    def wanted(self, wanted: Wanted, *, after: int) -> list[Batch]:
        """What is wanted of the events behind `after`; not counted.

        What only one client can want is not kept: history asks this for as long as nothing happens.
        """
        first = self._events[0].position if self._events else 0
        if wanted.followed or after >= first or wanted.after >= first:
            return self._batched(
                event for event in self._events if event.position > after and wanted.matches(event)
            )
        shared = self._shared.get(id(wanted.subscribed))
        if shared is not None:
            return shared[1]
        batches = self._batched(event for event in self._events if wanted.matches(event))
        if len(self._shared) < _SHARED:
            self._shared[id(wanted.subscribed)] = (wanted.subscribed, batches)
        return batches

    def reached(self) -> list[tuple[JobEvent, int]]:
        """The events that somebody was given, each with the number of clients."""
        clients: Counter[int] = Counter()
        for batch in self._given:
            for frame in batch.frames:
                clients[frame.position] += batch.clients
        return [
            (event, clients[event.position]) for event in self._events if event.position in clients
        ]

    def _batched(self, events: Iterable[JobEvent]) -> list[Batch]:
        batches: list[tuple[list[Frame], list[bytes]]] = []
        size = _BATCH_BYTES
        for event in events:
            frame, encoded = self._encoded(event)
            if size + len(encoded) > _BATCH_BYTES:
                batches.append(([], []))
                size = 0
            frames, parts = batches[-1]
            frames.append(frame)
            parts.append(encoded)
            size += len(encoded)
        return [Batch(frames, b"".join(parts), frames[-1].position) for frames, parts in batches]

    def _encoded(self, event: JobEvent) -> tuple[Frame, bytes]:
        known = self._frames.get(event.position)
        if known is None:
            frame = Frame.of(event)
            known = self._frames[event.position] = (frame, websocket_frame(frame.text))
        return known
