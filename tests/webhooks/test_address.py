"""Which URLs and addresses are delivered to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimized_tsp.core.config import Settings
from optimized_tsp.webhooks.address import AddressPolicy, RefusedAddress, Target, check_url
from tests.webhooks.hostile_urls import REFUSED_AS_WRITTEN

STRICT = AddressPolicy()
INSIDE = AddressPolicy.from_settings(
    Settings(webhook_allow_http=True, webhook_allowed_networks="10.20.0.0/16,fd00::/8")
)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.example.org", Target("https", "hooks.example.org", 443, "/")),
        (
            "https://hooks.example.org/a/b?c=d",
            Target("https", "hooks.example.org", 443, "/a/b?c=d"),
        ),
        ("HTTPS://Hooks.Example.ORG:8443/A", Target("https", "hooks.example.org", 8443, "/A")),
        ("https://hooks.example.org?x=1", Target("https", "hooks.example.org", 443, "/?x=1")),
        (
            "https://a_b.xn--bcher-kva.example/",
            Target("https", "a_b.xn--bcher-kva.example", 443, "/"),
        ),
        ("https://93.184.216.34/%0d%0aX", Target("https", "93.184.216.34", 443, "/%0d%0aX")),
        ("https://[2606:4700:4700::1111]/", Target("https", "2606:4700:4700::1111", 443, "/")),
    ],
)
def test_a_public_https_url_is_taken_apart(url: str, target: Target) -> None:
    assert check_url(url, STRICT) == target


@pytest.mark.parametrize("url", REFUSED_AS_WRITTEN, ids=ascii)
def test_a_hostile_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(RefusedAddress, match=r"^[A-Z].*\.$|https://"):
        check_url(url.format(port=8443), STRICT)


def test_there_are_enough_hostile_urls() -> None:
    assert len(set(REFUSED_AS_WRITTEN)) >= 60


@pytest.mark.parametrize(
    "url",
    [
        "http://10.20.30.40:8080/x",
        "https://[fd00::5]/",
        "http://hooks.intranet/",
        "http://receiver:8000/",
        "http://hooks.example.org/",
    ],
)
def test_inside_one_network_more_is_accepted_when_a_setting_says_so(url: str) -> None:
    assert check_url(url, INSIDE).port in {80, 443, 8000, 8080}


@pytest.mark.parametrize(
    "url", ["http://10.21.0.1/", "http://127.0.0.1/", "http://[::ffff:10.20.0.1]/"]
)
def test_an_allowed_network_opens_no_other(url: str) -> None:
    with pytest.raises(RefusedAddress, match="not public"):
        check_url(url, INSIDE)


def test_one_private_address_beside_public_ones_is_enough_to_refuse() -> None:
    public = ip_address("93.184.216.34")
    STRICT.check([public])
    with pytest.raises(RefusedAddress):
        STRICT.check([public, ip_address("10.0.0.1")])


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://hooks.example.org/", "hooks.example.org"),
        ("https://hooks.example.org:443/", "hooks.example.org"),
        ("https://hooks.example.org:8443/", "hooks.example.org:8443"),
        ("https://[2606:4700::1]:8443/", "[2606:4700::1]:8443"),
    ],
)
def test_the_host_header_is_what_the_url_says(url: str, authority: str) -> None:
    assert check_url(url, STRICT).authority == authority


@given(st.ip_addresses())
def test_what_the_standard_library_calls_not_global_is_never_public(address: object) -> None:
    checked = ip_address(str(address))
    try:
        STRICT.check([checked])
    except RefusedAddress:
        return
    assert checked.is_global
    assert not checked.is_multicast
    assert checked not in ip_network("64:ff9b::/96")


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_urls(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}/", f"https://hooks.example.org/{text}"):
        try:
            target = check_url(url, STRICT)
        except RefusedAddress:
            continue
        assert target.host
        assert target.path.startswith("/")
        assert not set(target.path + target.host) & set(" \r\n\t\\#")
