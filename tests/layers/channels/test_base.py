"""What every channel layer has in common: names and capacities."""

from __future__ import annotations

import re

import pytest

from seaway.layers import BaseChannelLayer


@pytest.fixture
def layer() -> BaseChannelLayer:
    return BaseChannelLayer()


@pytest.mark.parametrize("name", ["chat", "name.with_valid-chars09", "x" * 99])
def test_legal_group_names(layer: BaseChannelLayer, name: str) -> None:
    assert layer.require_valid_group_name(name)


@pytest.mark.parametrize(
    "name", ["", "¯\\_(ツ)_/¯", "chat room", "chat!x", "x" * 100, "chat\n", "é", 7, None, b"chat"]
)
def test_illegal_group_names_are_type_errors_that_say_what_is_legal(
    layer: BaseChannelLayer, name: str
) -> None:
    reason = "Group name must be a valid unicode string with length < 100 containing only ASCII"
    with pytest.raises(TypeError, match=reason):
        layer.require_valid_group_name(name)


@pytest.mark.parametrize("name", ["chat", "specific.process!aB_-.9", "specific!", "x" * 99])
def test_legal_channel_names(layer: BaseChannelLayer, name: str) -> None:
    assert layer.require_valid_channel_name(name)


@pytest.mark.parametrize("name", ["", "ツ", "a b", "a!b!c", "!x", "x" * 100, "chat\n", 7, None])
def test_illegal_channel_names_are_type_errors(layer: BaseChannelLayer, name: str) -> None:
    with pytest.raises(TypeError, match="Channel name must be a valid unicode string"):
        layer.require_valid_channel_name(name)


def test_the_older_names_of_the_checks_are_deprecated(layer: BaseChannelLayer) -> None:
    with pytest.warns(DeprecationWarning, match="valid_channel_name is deprecated") as caught:
        assert layer.valid_channel_name("specific!", True)
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="valid_group_name is deprecated"):
        assert layer.valid_group_name("chat")
    with pytest.warns(DeprecationWarning, match="deprecated"), pytest.raises(TypeError):
        layer.valid_group_name("chat!x")


def test_a_name_to_receive_from_may_have_to_end_at_the_mark(layer: BaseChannelLayer) -> None:
    assert layer.require_valid_channel_name("specific.process!", True)
    assert layer.require_valid_channel_name("plain", receive=True)
    with pytest.raises(TypeError, match=r"must end at the !"):
        layer.require_valid_channel_name("specific.process!here", receive=True)


def test_the_non_local_part_ends_with_the_mark(layer: BaseChannelLayer) -> None:
    assert layer.non_local_name("specific.process!here") == "specific.process!"
    assert layer.non_local_name("plain") == "plain"


def test_type_and_length(layer: BaseChannelLayer) -> None:
    assert layer.match_type_and_length("chat")
    assert not layer.match_type_and_length("x" * 100)
    assert not layer.match_type_and_length(b"chat")


def test_the_first_pattern_that_matches_gives_the_capacity() -> None:
    layer = BaseChannelLayer(
        capacity=50,
        channel_capacity={
            "http.request": 200,
            "http.response!*": 10,
            re.compile(r"^websocket.send\!.+"): 20,
            "http.*": 5,
        },
    )
    assert layer.get_capacity("http.request") == 200
    assert layer.get_capacity("http.response!1234") == 10
    assert layer.get_capacity("websocket.send!abcd") == 20
    assert layer.get_capacity("http.disconnect") == 5
    assert layer.get_capacity("chat") == 50


def test_defaults(layer: BaseChannelLayer) -> None:
    assert (layer.expiry, layer.capacity, layer.extensions) == (60, 100, [])
    assert layer.get_capacity("chat") == 100
    assert repr(layer) == "BaseChannelLayer(expiry=60, capacity=100)"


async def test_what_a_layer_leaves_out_is_said(layer: BaseChannelLayer) -> None:
    for call in (
        layer.send("chat", {}),
        layer.receive("chat"),
        layer.new_channel(),
        layer.flush(),
        layer.group_add("group", "chat"),
        layer.group_discard("group", "chat"),
        layer.group_send("group", {}),
    ):
        with pytest.raises(NotImplementedError, match="BaseChannelLayer does not implement"):
            await call
    await layer.close()
