"""Which stack a path goes to."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import URLPattern, clear_url_caches, path

from seaway.http.choice import Choice
from tests.http import async_views, views


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("/hello/", False),
        ("/async/hello/", True),
        ("/async/class/", True),
        ("/nested/async/", True),
        ("/nowhere/", False),
        ("/status/204/", False),
        ("/de/kind/", True),
        ("/en-us/kind/", True),
        ("/xx/kind/", False),
        ("*", False),
    ],
)
def test_the_view_decides(requested: str, expected: bool) -> None:
    with override_settings(ROOT_URLCONF="tests.http.urls"):
        clear_url_caches()
        assert Choice().is_async(requested) is expected
    clear_url_caches()


def test_another_urlconf_is_another_choice() -> None:
    choice = Choice()
    with override_settings(ROOT_URLCONF="tests.http.urls"):
        assert not choice.is_async("/hello/")
    with override_settings(ROOT_URLCONF="tests.http.other_urls"):
        assert choice.is_async("/hello/")


def test_a_project_without_async_views_resolves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    urlconf: Any = SimpleNamespace(urlpatterns=[path("hello/", views.hello)])
    monkeypatch.setitem(sys.modules, "tests.http.sync_urls", urlconf)
    resolved: list[str] = []
    resolve = URLPattern.resolve

    def counted(pattern: URLPattern, path: str) -> Any:
        resolved.append(path)
        return resolve(pattern, path)

    monkeypatch.setattr(URLPattern, "resolve", counted)
    with override_settings(ROOT_URLCONF="tests.http.sync_urls"):
        assert not Choice().is_async("/hello/")
    clear_url_caches()
    assert resolved == []


def test_a_broken_urlconf_is_left_to_the_request() -> None:
    with override_settings(ROOT_URLCONF="tests.http.no_such_urls"):
        assert not Choice().is_async("/hello/")
    clear_url_caches()


def test_a_sync_wrapper_around_an_async_view_counts_as_sync(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrapper(request: HttpRequest) -> HttpResponse:
        raise NotImplementedError

    wrapper.__wrapped__ = async_views.async_hello  # type: ignore[attr-defined]
    urlconf: Any = SimpleNamespace(
        urlpatterns=[path("wrapped/", wrapper), path("async/", async_views.async_hello)]
    )
    monkeypatch.setitem(sys.modules, "tests.http.wrapped_urls", urlconf)
    with override_settings(ROOT_URLCONF="tests.http.wrapped_urls"):
        choice = Choice()
        assert not choice.is_async("/wrapped/")
        assert choice.is_async("/async/")
    clear_url_caches()
