"""New events on their way to very many clients: each is encoded once, whoever gets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from optimized_tsp.events.types import JobEvent
from optimized_tsp.live.frames import websocket_frame
from optimized_tsp.live.outbox import Batch, Frame, Outbox

__all__ = ["HandOut"]

# What is written to a socket in one go: more than this is more than its buffers should hold.
_BATCH_BYTES = 64 * 1024


class HandOut:
    """Some events in feed order, and for every client those of them that it wants.

    Clients that subscribed to the same share the work: which events they want is found out once.
    """

    def __init__(self, events: Sequence[JobEvent]) -> None:
        self._events = events
        self._frames: dict[int, tuple[Frame, bytes]] = {}
        # By the identity of the filter, which is faster than by its value; feeds keep one of each.
        self._shared: dict[int, list[Batch]] = {}
        self._batches: list[Batch] = []

    def wanted_by(self, outbox: Outbox) -> list[Batch]:
        """What the client gets of the events; it is counted as given to it."""
        wanted, first = outbox.wanted, self._events[0].position
        if wanted.followed or outbox.after >= first or wanted.after >= first:
            after = outbox.after
            batches = self._batched(
                event for event in self._events if event.position > after and wanted.matches(event)
            )
        else:
            shared = self._shared.get(id(wanted.subscribed))
            if shared is None:
                shared = self._batched(event for event in self._events if wanted.matches(event))
                self._shared[id(wanted.subscribed)] = shared
            batches = shared
        for batch in batches:
            batch.clients += 1
        return batches

    def reached(self) -> list[tuple[JobEvent, int]]:
        """The events that somebody was given, each with the number of clients."""
        clients: Counter[int] = Counter()
        for batch in self._batches:
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
        made = [Batch(frames, b"".join(parts), frames[-1].position) for frames, parts in batches]
        self._batches += made
        return made

    def _encoded(self, event: JobEvent) -> tuple[Frame, bytes]:
        known = self._frames.get(event.position)
        if known is None:
            frame = Frame.of(event)
            known = self._frames[event.position] = (frame, websocket_frame(frame.text))
        return known
