"""The opening handshake (RFC 6455 section 4.2, RFC 7692 section 7.1, RFC 8441)."""

from __future__ import annotations

import pytest
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.protocol import State
from websockets.uri import parse_uri

from seaway.exceptions import ProtocolError, ResponseError
from seaway.protocol.events import Headers, RequestReceived, ResponseStarted
from seaway.protocol.headers import value_of
from seaway.protocol.http1 import Http1Connection
from seaway.protocol.websocket.deflate import DeflateParameters
from seaway.protocol.websocket.handshake import (
    VERSION_HEADER,
    DeflateOffer,
    Handshake,
    accept,
    read_request,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3
DEFLATE = b"sec-websocket-extensions"
ANSWER = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def opening(*more: tuple[bytes, bytes], without: bytes = b"", **changes: object) -> RequestReceived:
    headers: Headers = [
        (b"host", b"a"),
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-key", KEY),
        (b"sec-websocket-version", b"13"),
    ]
    fields: dict[str, object] = {
        "stream": 1,
        "method": "GET",
        "target": b"/ws",
        "headers": [pair for pair in headers if pair[0] != without] + list(more),
        "version": "1.1",
        "upgrade": "websocket",
        "ended": True,
    }
    return RequestReceived(**{**fields, **changes})  # type: ignore[arg-type]  # a test's own table


def test_the_example_of_rfc6455_1_3() -> None:
    event = opening((b"sec-websocket-protocol", b"chat, superchat"))
    handshake = read_request(event)
    assert handshake == Handshake(KEY, ("chat", "superchat"), ())
    assert accept(handshake, subprotocol="chat", deflate=True) == (
        [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            (b"sec-websocket-protocol", b"chat"),
        ],
        None,
    )


@pytest.mark.parametrize(
    "event",
    [
        opening(method="POST"),
        opening(upgrade=""),
        opening(upgrade="h2c"),
        opening(ended=False),
        opening(without=b"sec-websocket-key"),
        opening((b"sec-websocket-key", KEY)),
        opening((b"sec-websocket-key", b"c2hvcnQ="), without=b"sec-websocket-key"),
        opening((b"sec-websocket-key", b"?" * 24), without=b"sec-websocket-key"),
        opening((b"sec-websocket-key", b"dGhl"), without=b"sec-websocket-key"),
        opening((b"sec-websocket-key", b"a"), without=b"sec-websocket-key"),
        opening((b"sec-websocket-protocol", b"a b")),
        opening((b"sec-websocket-protocol", b"a, a")),
        opening((DEFLATE, b"per message")),
        opening((DEFLATE, b"x; a b")),
        opening((DEFLATE, b"x; a=")),
        opening((DEFLATE, b'x; a="b c"')),
    ],
)
def test_what_breaks_rfc6455_4_2_1(event: RequestReceived) -> None:
    with pytest.raises(ProtocolError) as refusal:
        read_request(event)
    assert refusal.value.status == 400


@pytest.mark.parametrize("versions", [[], [b"8"], [b"13", b"8"], [b"13, 13"], [b"013"]])
def test_another_version_rfc6455_4_2_2(versions: list[bytes]) -> None:
    headers = [(VERSION_HEADER[0], version) for version in versions]
    with pytest.raises(ProtocolError) as refusal:
        read_request(opening(*headers, without=VERSION_HEADER[0]))
    assert refusal.value.status == 426


def test_over_http_2_there_is_no_key_rfc8441_4() -> None:
    headers = [(b"sec-websocket-version", b"13"), (b"sec-websocket-protocol", b"a")]
    event = RequestReceived(3, "CONNECT", b"/", headers, "2", upgrade="websocket")
    handshake = read_request(event)
    assert handshake == Handshake(b"", ("a",), ())
    assert accept(handshake, subprotocol="a", deflate=True) == (
        [(b"sec-websocket-protocol", b"a")],
        None,
    )


@pytest.mark.parametrize(("offered", "said"), [(b"a, b", "a, b"), (b"", "none")])
def test_the_application_chooses_what_was_offered_rfc6455_4_2_2(offered: bytes, said: str) -> None:
    handshake = read_request(opening((b"sec-websocket-protocol", offered)))
    with pytest.raises(ResponseError, match=f"'c', but the client offered {said}"):
        accept(handshake, subprotocol="c", deflate=False)


# Compression -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "answer", "bits"),
    [
        (b"permessage-deflate", ANSWER, 15),
        (b"permessage-deflate; client_max_window_bits", ANSWER, 15),
        (b"permessage-deflate; client_max_window_bits=8", ANSWER, 15),
        (
            b"permessage-deflate; server_max_window_bits=10",
            ANSWER + b"; server_max_window_bits=10",
            10,
        ),
        (
            b'permessage-deflate; server_max_window_bits="9"',
            ANSWER + b"; server_max_window_bits=9",
            9,
        ),
        (b"permessage-deflate; server_no_context_takeover; client_no_context_takeover", ANSWER, 15),
        (b"x; y=1, permessage-deflate; server_max_window_bits=8, permessage-deflate", ANSWER, 15),
    ],
)
def test_offers_that_are_taken_rfc7692_7_1(offer: bytes, answer: bytes, bits: int) -> None:
    handshake = read_request(opening((DEFLATE, offer)))
    headers, parameters = accept(handshake, subprotocol=None, deflate=True)
    assert value_of(headers, DEFLATE) == answer
    assert parameters == DeflateParameters(bits)


def test_a_server_may_do_without_compression() -> None:
    handshake = read_request(opening((DEFLATE, b"permessage-deflate")))
    assert handshake.deflate == (DeflateOffer(),)
    headers, parameters = accept(handshake, subprotocol=None, deflate=False)
    assert value_of(headers, DEFLATE) is None
    assert parameters is None


@pytest.mark.parametrize(
    "parameters",
    [
        b"unknown",
        b"server_no_context_takeover=1",
        b"client_no_context_takeover=x",
        b"client_max_window_bits=7",
        b"client_max_window_bits=16",
        b"client_max_window_bits=010",
        b"server_max_window_bits",
        b"server_max_window_bits=8",  # zlib has no such window for raw deflate
        b"server_max_window_bits=16",
        b"server_max_window_bits=10; server_max_window_bits=10",
    ],
)
def test_offers_that_are_declined_rfc7692_7_1(parameters: bytes) -> None:
    handshake = read_request(opening((DEFLATE, b"permessage-deflate; " + parameters)))
    assert handshake.deflate == ()


# With a client of another make -------------------------------------------------------------------


@pytest.mark.parametrize("bits", [None, 9, 15])
def test_websockets_accepts_what_we_answer(bits: int | None) -> None:
    client = ClientProtocol(
        parse_uri("ws://localhost/chat"),
        subprotocols=["chat"],  # type: ignore[list-item]  # Subprotocol is a NewType of str
        extensions=[ClientPerMessageDeflateFactory(server_max_window_bits=bits)],
    )
    client.send_request(client.connect())
    http = Http1Connection()
    (event,) = http.receive(b"".join(client.data_to_send()))
    assert isinstance(event, RequestReceived)
    headers, parameters = accept(read_request(event), subprotocol="chat", deflate=True)
    client.receive_data(http.send(ResponseStarted(event.stream, 101, headers)))
    assert client.handshake_exc is None
    assert client.state is State.OPEN
    assert client.subprotocol == "chat"
    assert parameters == DeflateParameters(bits or 15)
