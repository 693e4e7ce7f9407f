"""Which method handles a message."""

from typing import Any

import pytest

from seaway.consumers.handlers import get_handler_name, handlers_of


def test_a_type_names_a_method() -> None:
    assert get_handler_name({"type": "chat.new_message"}) == "chat_new_message"


@pytest.mark.parametrize("kind", ["_private", ".private", "._private"])
def test_a_name_that_begins_with_an_underscore_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="leading underscore"):
        get_handler_name({"type": kind})


def test_a_message_without_a_type_is_refused() -> None:
    with pytest.raises(ValueError, match="no 'type'"):
        get_handler_name({"text": "hello"})


def test_the_table_has_public_methods_and_knows_which_are_coroutines() -> None:
    class Thing:
        setting = 3

        async def later(self, message: Any) -> None: ...

        def now(self, message: Any) -> None: ...

        def _hidden(self, message: Any) -> None: ...

        @classmethod
        async def shared(cls) -> None: ...

        @property
        def shown(self) -> int:
            raise AssertionError("a property is not looked into")

    assert handlers_of(Thing) == {"later": True, "now": False, "shared": True}


def test_a_name_is_the_same_object_for_the_same_type() -> None:
    first, second = ("".join(["chat", ".", "message"]) for _ in range(2))
    assert first is not second
    assert get_handler_name({"type": first}) is get_handler_name({"type": second})
