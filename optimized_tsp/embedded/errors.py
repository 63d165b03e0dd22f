"""What can go wrong with a stack of our own; each message tells a person what to do next."""

from __future__ import annotations

__all__ = [
    "BinariesMissing",
    "EmbeddedError",
    "FolderInUse",
    "NoAccount",
    "PortTaken",
    "ProcessFailed",
]


class EmbeddedError(Exception):
    """The embedded stack cannot run."""


class BinariesMissing(EmbeddedError):
    """The servers' programs are not installed, or the servers' user cannot reach them."""


class FolderInUse(EmbeddedError):
    """Somebody else runs on this data folder."""


class NoAccount(EmbeddedError):
    """We are root and there is no unprivileged user to run the servers as."""


class PortTaken(EmbeddedError):
    """Another program listens where the API should."""


class ProcessFailed(EmbeddedError):
    """A program did not do what it was started for; the message shows its last words."""
