"""What a topic class is before anybody joins it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import override_settings

from seaway import Topic, TopicAddress
from seaway.exceptions import ConfigurationError
from seaway.topics.registry import registry


def test_a_class_without_a_route_has_no_address() -> None:
    class Base(Topic):
        pass

    with pytest.raises(ConfigurationError, match="Base has no route"):
        Base.at()


def test_a_subclass_of_a_routed_topic_shares_its_address() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

    class Quiet(Room):
        pass

    assert Quiet.at(room=1) == Room.at(room=1) == TopicAddress("rooms/1")
    assert list(registry) == [Room]


def test_by_default_it_has_no_history_no_presence_and_no_actions() -> None:
    assert (Topic.history, Topic.presence, dict(Topic.actions)) == (None, False, {})
    assert list(registry) == []


def test_a_missing_attribute_is_missing() -> None:
    with pytest.raises(AttributeError, match="'Topic' object has no attribute 'nope'"):
        _ = Topic("x", "c1").nope  # type: ignore[attr-defined]


def test_the_topics_module_of_every_app_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = tmp_path / "seaway_test_shop"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "topics.py").write_text(
        "from seaway import Topic\n\nclass Till(Topic):\n    route = 'tills/<int:till>'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(INSTALLED_APPS=["seaway", app.name]):
        assert [topic.route for topic in registry] == ["tills/<int:till>"]
