"""Passwords and ports are chosen once."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

from optimized_tsp.embedded.identity import HOST, Identity, is_free, webhook_key


def test_passwords_and_ports_stay_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "embedded.json"
    first = Identity.load(path)
    assert Identity.load(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.owner_password != first.app_password != first.reporting_password


def test_a_port_that_somebody_took_is_replaced_and_passwords_stay(tmp_path: Path) -> None:
    path = tmp_path / "embedded.json"
    first = Identity.load(path)
    with socket.socket() as squatter:
        squatter.bind((HOST, first.postgres_port))
        squatter.listen()
        assert not is_free(HOST, first.postgres_port)
        second = Identity.load(path)
    assert second.postgres_port != first.postgres_port
    assert second.valkey_port == first.valkey_port
    assert second.app_password == first.app_password
    assert Identity.load(path) == second


def test_the_key_of_webhooks_is_made_once_and_private(tmp_path: Path) -> None:
    path, other = tmp_path / "webhook.json", tmp_path / "other.json"
    key = webhook_key(path)
    assert webhook_key(path) == key
    assert len(key) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert webhook_key(other) != key
