"""The embedded Valkey: a doorbell that forgets everything when it stops."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from optimized_tsp.embedded.account import Account
from optimized_tsp.embedded.binaries import Binaries
from optimized_tsp.embedded.identity import HOST, Identity
from optimized_tsp.embedded.process import Order, Process

__all__ = ["valkey_process"]

# Jobs live in Postgres, so nothing is written to disk. A full doorbell refuses rings, which the
# reconciler makes up for; dropping keys at random would not be noticed. No key expires, so there is
# nothing that it has to look after ten times a second.
_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
daemonize no
save ""
appendonly no
maxmemory 256mb
maxmemory-policy noeviction
hz 1
"""


def valkey_process(
    log: Path, binaries: Binaries, identity: Identity, account: Account | None
) -> Process:
    """A Valkey server on loopback; its configuration goes through stdin, out of sight."""
    order = Order(
        command=(binaries.valkey, "-"),
        env={"PATH": os.defpath, "LC_ALL": "C"},
        account=account,
        stdin=_CONFIGURATION.format(
            host=HOST, port=identity.valkey_port, password=identity.valkey_password
        ),
    )
    return Process(
        "Valkey",
        order,
        log,
        is_ready=lambda _: _answers(identity),
        stop_signal=signal.SIGTERM,
    )


def _answers(identity: Identity) -> bool:
    try:
        with socket.create_connection((HOST, identity.valkey_port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {identity.valkey_password}\r\nPING\r\n".encode())
            said = b""
            while b"PONG" not in said and (part := connection.recv(256)):
                said += part
    except OSError:
        return False
    return b"PONG" in said
