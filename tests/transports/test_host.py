"""Recognising the server underneath."""

import functools
import logging
import sys
from typing import Any

import pytest

from seaway.transports import host


def made_by(module: str) -> Any:
    """A server's callable, as far as its names go."""

    class Cycle:
        async def receive(self) -> None:
            """A bound method, as uvicorn's and hypercorn's."""

    Cycle.__module__ = module
    return Cycle().receive


@pytest.mark.parametrize(
    ("receive", "name"),
    [
        (made_by("uvicorn.lifespan.on"), "uvicorn"),
        (functools.partial(made_by("daphne.server"), 1), "daphne"),
        (made_by("_granian"), "granian"),
        (made_by("seaway.server.lifespan"), "seaway"),
    ],
)
def test_a_server_is_known_by_what_it_has_made(receive: Any, name: str) -> None:
    assert host.name_of(receive, made_by("builtins")) == name
    assert host.name_of(made_by("asyncio.queues"), receive) == name


def test_one_that_is_hidden_is_known_by_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = made_by("some.middleware")
    for name in ("uvicorn", "hypercorn", "granian", "daphne"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert host.name_of(hidden, hidden) == ""
    monkeypatch.setitem(sys.modules, "hypercorn", host)
    assert host.name_of(hidden, hidden) == "hypercorn"
    monkeypatch.setitem(sys.modules, "daphne", host)
    assert host.name_of(hidden, hidden) == ""


def test_one_line_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        host.say_what_is_lost(made_by("seaway.server.lifespan"), made_by("builtins"))
        host.say_what_is_lost(made_by("daphne.server"), made_by("builtins"))
    (record,) = caplog.records
    assert "under daphne" in record.getMessage()
    assert "no back-pressure" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert host.losses("seaway") == ()
