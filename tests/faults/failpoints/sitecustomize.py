"""Kills the process at a named point; put this folder on PYTHONPATH.

BETWEEN_COMMIT_AND_RING names a file. While it exists, the next process that has committed a job
and has told nobody yet takes the file away and dies.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from uuid import UUID

if "BETWEEN_COMMIT_AND_RING" in os.environ:
    from optimized_tsp.events.bus import Bus

    _announce = Bus.announce

    def _die_or_announce(self: Bus, job_id: UUID, *, ring: bool = False) -> None:
        if ring:
            with suppress(FileNotFoundError):
                Path(os.environ["BETWEEN_COMMIT_AND_RING"]).unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        _announce(self, job_id, ring=ring)

    Bus.announce = _die_or_announce  # type: ignore[method-assign]
