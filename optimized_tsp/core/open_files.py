"""How many files a process may have open: every connection is one of them.

Linux gives a shell 1024 (its soft limit) and lets everybody raise that to the hard limit, usually
half a million (setrlimit(2); systemd's manual, systemd.exec, LimitNOFILE). Where none is left, a
connection is accepted and closed at once (libuv, `uv__emfile_trick`), and neither libuv nor uvloop
tells anybody.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from typing import Never

import structlog

from optimized_tsp.core.logging import Rarely

__all__ = ["is_reserved", "open_files_limit", "raise_open_files", "watch_open_files"]

logger = structlog.get_logger(__name__)

# More than any process of ours opens; some systems take no larger number.
_PLENTY = 2**20
# For requests, the database and Redis while as many clients as can be stay connected.
_MOST_RESERVED = 512
_RESERVED_PART = 8
_LOOK_EVERY_S = 1.0


def open_files_limit() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _PLENTY if soft == resource.RLIM_INFINITY else soft


def raise_open_files(*, needed: int) -> None:
    """Raise the limit as far as we may and log it: a warning if it stays below `needed`."""
    before = open_files_limit()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _PLENTY if hard == resource.RLIM_INFINITY else min(hard, _PLENTY)
    if before < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:
            logger.warning("open_files_not_raised", wanted=wanted, error=repr(error))
    limit = open_files_limit()
    if limit < needed:
        logger.warning(
            "open_files",
            limit=limit,
            before=before,
            needed=needed,
            effect="fewer clients can be connected; raise the hard limit of open files",
        )
    else:
        logger.info("open_files", limit=limit, before=before)


def is_reserved(number: int) -> bool:
    """Whether an open file has one of the numbers that are left for other things than clients.

    A new file gets the lowest number that is free (POSIX.1-2024, 2.6), so one that comes close to
    the limit means that nearly all below are in use.
    """
    limit = open_files_limit()
    return number >= limit - min(_MOST_RESERVED, limit // _RESERVED_PART)


async def watch_open_files() -> Never:
    """Say so, once a minute, while this process can open nothing more."""
    rarely = Rarely()
    while True:
        if _is_exhausted() and rarely.now():
            logger.error(
                "no_open_files_left",
                limit=open_files_limit(),
                effect="new connections are closed without an answer",
            )
        await asyncio.sleep(_LOOK_EVERY_S)


def _is_exhausted() -> bool:
    try:
        os.close(os.open(os.sep, os.O_RDONLY))
    except OSError as error:
        if error.errno not in {errno.EMFILE, errno.ENFILE}:
            raise
        return True
    return False
