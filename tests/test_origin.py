"""Whose pages may connect."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from seaway.origin import entry_problem, origin_allowed, page_allowed, request_allowed

LAYER = {"LAYER": "memory://"}


def rule(**settings: Any) -> Any:
    origins = settings.pop("origins", None)
    return override_settings(SEAWAY={**LAYER, "ALLOWED_ORIGINS": origins}, **settings)


@pytest.mark.parametrize("hosts", [[], ["example.com"], ["*"]])
def test_a_client_without_an_origin_is_no_browser_and_may_connect(hosts: list[str]) -> None:
    with rule(ALLOWED_HOSTS=hosts):
        assert page_allowed(None, "example.com")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://example.com", True),
        ("http://example.com:8000", True),
        ("https://EXAMPLE.com", True),
        ("https://a.trees.example", True),
        ("https://trees.example", True),
        ("http://[2001:db8::1]:80", True),
        ("https://evil.example", False),
        ("https://example.com.evil.example", False),
        ("https://evilexample.com", False),
        ("https://evil.example/example.com", False),
        ("https://example.com@evil.example", False),
        ("https://evil.example#example.com", False),
        ("null", False),
        ("", False),
        ("example.com", False),
        ("https://", False),
        ("https://example.com:port", False),
        ("https://[::1", False),
    ],
)
def test_allowed_hosts_decides_by_default(origin: str, allowed: bool) -> None:
    with rule(ALLOWED_HOSTS=["example.com", ".trees.example", "[2001:db8::1]"]):
        assert page_allowed(origin, "example.com") is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:8000", True),
        ("http://shop.localhost", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://evil.example", False),
    ],
)
def test_with_debug_and_no_allowed_hosts_only_this_machine(origin: str, allowed: bool) -> None:
    with rule(ALLOWED_HOSTS=[], DEBUG=True):
        assert page_allowed(origin, "localhost:8000") is allowed
    with rule(ALLOWED_HOSTS=[], DEBUG=False):
        assert page_allowed(origin, "localhost:8000") is False


def test_a_star_in_allowed_hosts_allows_the_pages_of_the_same_host_only() -> None:
    with rule(ALLOWED_HOSTS=["*"]):
        assert page_allowed("https://shop.example", "shop.example")
        assert page_allowed("http://shop.example:5173", "shop.example:8000")
        assert page_allowed("http://[::1]:8000", "[::1]:8000")
        assert not page_allowed("https://evil.example", "shop.example")
        assert not page_allowed("https://shop.example", None)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://example.com", True),
        ("https://example.com:443", True),
        ("https://example.com:8443", False),
        ("http://example.com", False),
        ("http://dev.example:5173", True),
        ("http://dev.example", False),
        ("https://a.trees.example", True),
        ("https://trees.example", False),
        ("http://a.trees.example", False),
        ("https://bare.example", True),
        ("http://bare.example:99", True),
        ("https://sub.dotted.example", True),
        ("https://testserver", False),
        ("null", False),
    ],
)
def test_a_list_of_origins_decides_alone(origin: str, allowed: bool) -> None:
    origins = [
        "https://example.com",
        "http://dev.example:5173",
        "https://*.trees.example",
        "bare.example",
        ".dotted.example",
    ]
    with rule(origins=origins, ALLOWED_HOSTS=["testserver"]):
        assert page_allowed(origin, "testserver") is allowed


def test_an_empty_list_allows_no_page_and_a_star_allows_all() -> None:
    with rule(origins=[]):
        assert not page_allowed("https://testserver", "testserver")
    with rule(origins=["*"]):
        assert page_allowed("https://anyone.example", "testserver")
        assert page_allowed("null", "testserver")


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "websocket", "headers": list(headers)}


def test_origin_and_host_are_read_from_the_scope() -> None:
    with rule(ALLOWED_HOSTS=["*"]):
        host = (b"host", b"shop.example")
        assert origin_allowed(scope(host))
        assert origin_allowed(scope(host, (b"origin", b"https://shop.example")))
        assert not origin_allowed(scope(host, (b"origin", b"https://evil.example")))
        assert not origin_allowed(scope((b"origin", b"https://shop.example")))


def test_two_origins_are_one_too_many() -> None:
    origin = (b"origin", b"https://testserver")
    assert origin_allowed(scope(origin))
    assert not origin_allowed(scope(origin, origin))


def test_behind_a_trusted_proxy_the_forwarded_host_counts() -> None:
    given = scope(
        (b"host", b"inner"),
        (b"x-forwarded-host", b"shop.example"),
        (b"origin", b"https://shop.example"),
    )
    with rule(ALLOWED_HOSTS=["*"]):
        assert not origin_allowed(given)
    with rule(ALLOWED_HOSTS=["*"], USE_X_FORWARDED_HOST=True):
        assert origin_allowed(given)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({b"origin": b"https://testserver"}, True),
        ({b"origin": b"https://evil.example"}, False),
        ({b"origin": b"null"}, False),
        ({b"sec-fetch-site": b"same-origin"}, True),
        ({b"sec-fetch-site": b"none"}, True),
        ({b"sec-fetch-site": b"same-site"}, False),
        ({b"sec-fetch-site": b"cross-site"}, False),
        ({b"referer": b"https://testserver/page?x#y"}, True),
        ({b"referer": b"https://evil.example/https://testserver"}, False),
        ({b"referer": b"https://[broken"}, False),
        ({b"referer": b""}, False),
        # The stronger header decides.
        ({b"origin": b"https://testserver", b"sec-fetch-site": b"cross-site"}, True),
        ({b"origin": b"https://evil.example", b"sec-fetch-site": b"same-origin"}, False),
        ({b"sec-fetch-site": b"cross-site", b"referer": b"https://testserver/"}, False),
    ],
)
def test_what_a_request_over_http_tells_of_its_page(
    headers: dict[bytes, bytes], allowed: bool
) -> None:
    with rule(ALLOWED_HOSTS=["testserver"]):
        assert request_allowed(scope((b"host", b"testserver"), *headers.items())) is allowed


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "https://a.example",
        "http://a.example:8000",
        "https://*.a.example",
        "a.example",
        ".a.example",
        "[::1]",
    ],
)
def test_a_good_entry(entry: str) -> None:
    assert entry_problem(entry) is None


@pytest.mark.parametrize(
    "entry", ["", "https://a.example/", "https://", "a.example/x", "a.example:80"]
)
def test_a_bad_entry(entry: str) -> None:
    assert entry_problem(entry) is not None
