"""Settings: read from the environment, refused when they contradict each other."""

from __future__ import annotations

import traceback

import pytest

from optimized_tsp.core.config import Settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIMIZED_TSP_PORT", "9001")
    monkeypatch.setenv("OPTIMIZED_TSP_LEASE_S", "7.5")
    settings = Settings()
    assert (settings.port, settings.lease_s, settings.host) == (9001, 7.5, "127.0.0.1")


def test_what_is_empty_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = Settings()
    for name in Settings.model_fields:
        monkeypatch.setenv(f"OPTIMIZED_TSP_{name.upper()}", "")
    assert Settings() == unset


def test_one_server_of_yours_and_one_of_ours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIMIZED_TSP_DATABASE_URL", "postgresql://u:p@127.0.0.1/db")
    with pytest.raises(ValueError, match="set both"):
        Settings()


def test_beyond_loopback_keys_are_required() -> None:
    assert Settings(host="0.0.0.0", auth="required").host == "0.0.0.0"  # noqa: S104
    with pytest.raises(ValueError, match="refused"):
        Settings(host="0.0.0.0")  # noqa: S104


def test_several_host_names_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIMIZED_TSP_ALLOWED_HOSTS", "tours.example.org, *.example.com,")
    assert Settings().allowed_hosts == ("tours.example.org", "*.example.com")


@pytest.mark.parametrize("hosts", ["https://a.example.org", "a.example.org:443", "a*.example.org"])
def test_what_is_no_host_name_is_refused(hosts: str) -> None:
    with pytest.raises(ValueError, match="is no host name"):
        Settings(allowed_hosts=hosts)


@pytest.mark.parametrize(("name", "value"), [("PORT", "0"), ("WORKERS", "none"), ("LEASE_S", "0")])
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"OPTIMIZED_TSP_{name}", value)
    with pytest.raises(ValueError, match=name.lower()):
        Settings()


def test_passwords_do_not_show() -> None:
    settings = Settings(
        database_url="postgresql://u:hidden-word@127.0.0.1/db",
        redis_url="redis://:hidden-word@127.0.0.1/0",
    )
    assert "hidden-word" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "mysql://u:hidden-word@127.0.0.1/db"),
        ("DATABASE_URL", "hidden-word"),
        ("REDIS_URL", "http://:hidden-word@127.0.0.1/0"),
    ],
)
def test_a_wrong_address_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv("OPTIMIZED_TSP_DATABASE_URL", "postgresql://u@127.0.0.1/db")
    monkeypatch.setenv("OPTIMIZED_TSP_REDIS_URL", "redis://127.0.0.1/0")
    monkeypatch.setenv(f"OPTIMIZED_TSP_{name}", url)
    with pytest.raises(ValueError, match=f"OPTIMIZED_TSP_{name}: ") as caught:
        Settings()
    assert "hidden-word" not in str(caught.value)
    assert "hidden-word" not in "".join(traceback.format_exception(caught.value))


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_lists_of_networks_and_delays_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPTIMIZED_TSP_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8, fd00::/8")
    monkeypatch.setenv("OPTIMIZED_TSP_WEBHOOK_RETRY_DELAYS_S", "5, 0.5")
    settings = Settings()
    assert settings.webhook_allowed_networks == ("10.0.0.0/8", "fd00::/8")
    assert settings.webhook_retry_delays_s == (5.0, 0.5)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "intranet"])
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match=network):
        Settings(webhook_allowed_networks=network)


@pytest.mark.parametrize("delays", ["0", "-1", "nan", "inf", "1,soon"])
def test_what_is_no_delay_is_refused(delays: str) -> None:
    with pytest.raises(ValueError, match="webhook_retry_delays_s"):
        Settings(webhook_retry_delays_s=delays)
