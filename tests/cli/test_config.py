"""`optimized-tsp config` and `migrate`, without anything running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optimized_tsp.core.config import Settings
from tests.up import Up

YOUR_URL = "postgresql://app:hunter2@db.example/tsp"


@pytest.fixture
def command(tmp_path: Path) -> Up:
    return Up(tmp_path / "data", tmp_path / "output", OPTIMIZED_TSP_LEASE_S="7")


def test_every_setting_is_shown_with_its_source(command: Up) -> None:
    shown = json.loads(command.run("config", "--json").stdout)
    assert set(Settings.model_fields) < set(shown)
    assert shown["lease_s"] == 7
    assert shown["sources"]["lease_s"] == "environment: OPTIMIZED_TSP_LEASE_S"
    assert shown["sources"]["max_nodes"] == "default"
    assert shown["database_url"] is None
    assert shown["sources"]["database_url"] == "nothing runs"


def test_secrets_are_hidden_from_the_screen_and_not_from_programs(tmp_path: Path) -> None:
    urls = {
        "OPTIMIZED_TSP_DATABASE_URL": YOUR_URL,
        "OPTIMIZED_TSP_REDIS_URL": "redis://:hunter2@cache.example/0",
        "OPTIMIZED_TSP_WEBHOOK_KEY": "hunter2" * 5,
    }
    command = Up(tmp_path / "data", tmp_path / "output", **urls)
    for_people = command.run("config").stdout
    assert "hunter2" not in for_people
    assert "postgresql://app:***@db.example/tsp" in for_people
    assert json.loads(command.run("config", "--json").stdout)["database_url"] == YOUR_URL


def test_migrate_says_what_it_needs(command: Up) -> None:
    ended = command.run("migrate")
    assert ended.returncode == 1
    assert "set OPTIMIZED_TSP_DATABASE_URL" in ended.stderr
