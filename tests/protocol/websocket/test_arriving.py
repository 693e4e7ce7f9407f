"""The mask on what a client sends (RFC 6455 section 5.3), with and without a C extension."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from websockets.utils import apply_mask as slow_mask

from seaway.protocol.events import Message
from seaway.protocol.websocket import arriving, connection
from seaway.protocol.websocket.frames import TEXT

from .peer import FIN, MASK, frame, masked


def test_without_the_c_extension_masks_come_off_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    spec = importlib.util.spec_from_file_location(arriving.__name__ + "_slow", arriving.__file__)
    assert spec is not None
    assert spec.loader is not None
    slow = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(slow)
    assert slow.apply_mask is slow_mask
    monkeypatch.setattr(connection, "apply_mask", slow.apply_mask)
    assert connection.WebSocketConnection(9).receive(frame(TEXT, b"hi")) == [Message("hi")]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 9])
def test_a_mask_goes_on_where_the_piece_before_ended(step: int) -> None:
    payload = b"It is four bytes long."
    message = arriving.Arriving(TEXT, compressed=False)
    message.begin_frame(len(payload), MASK, bool(FIN))
    sent = masked(payload)
    for at in range(0, len(sent), step):
        message.add(sent[at : at + step])
    assert (bytes(message.payload), message.left) == (payload, 0)
