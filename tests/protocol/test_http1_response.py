"""HTTP/1.1 responses, in bytes (RFC 9110 section 15, RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import re

import pytest

from seaway.exceptions import ResponseError
from seaway.protocol.events import Headers, InterimResponse, ResponseData, ResponseStarted
from seaway.protocol.http1_response import Exchange

DATE = (b"date", b"now")
OK = b"HTTP/1.1 200 OK\r\ndate: now\r\n"


def start(exchange: Exchange, *headers: tuple[bytes, bytes], status: int = 200) -> bytes:
    return exchange.start(ResponseStarted(1, status, [DATE, *headers]))


def test_a_counted_body_rfc9112_6_2() -> None:
    exchange = Exchange(1)
    assert start(exchange, (b"Content-Length", b"5")) == OK + b"content-length: 5\r\n\r\n"
    assert exchange.data(ResponseData(1, b"he")) == b"he"
    assert exchange.data(ResponseData(1, b"llo", ended=True)) == b"llo"


def test_a_body_without_a_length_is_chunked_rfc9112_7_1() -> None:
    exchange = Exchange(1)
    assert start(exchange) == OK + b"transfer-encoding: chunked\r\n\r\n"
    assert exchange.data(ResponseData(1, b"x" * 26)) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert exchange.data(ResponseData(1, b"")) == b""
    assert exchange.data(ResponseData(1, b"y", ended=True)) == b"1\r\ny\r\n0\r\n\r\n"


def test_chunks_end_without_data_too_rfc9112_7_1() -> None:
    exchange = Exchange(1)
    start(exchange)
    assert exchange.data(ResponseData(1, b"", ended=True)) == b"0\r\n\r\n"


def test_http_1_0_gets_no_chunks_rfc9112_6_1() -> None:
    exchange = Exchange(1, old=True)
    assert start(exchange) == OK + b"connection: close\r\n\r\n"
    assert exchange.data(ResponseData(1, b"all", ended=True)) == b"all"
    assert exchange.closes


def test_the_applications_own_framing_headers_are_replaced() -> None:
    exchange = Exchange(1)
    headers = [(b"transfer-encoding", b"gzip"), (b"connection", b"keep-alive, x"), (b"A", b"b")]
    assert start(exchange, *headers) == (
        b"HTTP/1.1 200 OK\r\na: b\r\ndate: now\r\ntransfer-encoding: chunked\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("status", "length", "line"),
    [
        (204, None, b""),
        (204, b"5", b""),  # RFC 9110 section 8.6
        (304, None, b""),
        (304, b"5", b"content-length: 5\r\n"),
    ],
)
def test_statuses_without_content_rfc9110_15(
    status: int, length: bytes | None, line: bytes
) -> None:
    exchange = Exchange(1)
    headers = [(b"content-length", length)] if length else []
    head = start(exchange, *headers, status=status)
    assert head.partition(b"\r\n")[2] == b"date: now\r\n" + line + b"\r\n"
    assert exchange.data(ResponseData(1, b"", ended=True)) == b""
    with pytest.raises(ResponseError, match="cannot have one"):
        exchange.data(ResponseData(1, b"x"))


@pytest.mark.parametrize("length", [None, b"5"])
def test_head_has_no_body_rfc9110_9_3_2(length: bytes | None) -> None:
    exchange = Exchange(1, head_only=True)
    headers = [(b"content-length", length)] if length else []
    line = b"content-length: 5\r\n" if length else b""
    assert start(exchange, *headers) == OK + line + b"\r\n"
    assert exchange.data(ResponseData(1, b"hello", ended=True)) == b""
    assert not exchange.closes


def test_a_date_is_added_rfc9110_6_6_1() -> None:
    pattern = rb"\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n"
    heads = [Exchange(1).start(ResponseStarted(1, 200, [])) for _ in range(2)]
    assert all(re.search(pattern, head) for head in heads)


@pytest.mark.parametrize(
    ("status", "line"),
    [(404, b"HTTP/1.1 404 Not Found"), (299, b"HTTP/1.1 299 "), (999, b"HTTP/1.1 999 ")],
)
def test_status_lines_rfc9112_4(status: int, line: bytes) -> None:
    assert start(Exchange(1), status=status).split(b"\r\n")[0] == line


def test_interim_responses_rfc9110_15_2() -> None:
    exchange = Exchange(1)
    hints: Headers = [(b"Link", b"</a.css>; rel=preload")]
    assert exchange.interim(InterimResponse(1, 103, hints)) == (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"
    )
    assert not exchange.started
    assert Exchange(1, old=True).interim(InterimResponse(1, 103, hints)) == b""


# Whose fault: the application's ------------------------------------------------------------------


@pytest.mark.parametrize("status", [101, 200, 99])
def test_what_is_no_interim_response(status: int) -> None:
    with pytest.raises(ResponseError, match=f"{status} as an interim"):
        Exchange(1).interim(InterimResponse(1, status, []))


def test_no_interim_response_after_the_final_one() -> None:
    exchange = Exchange(1)
    start(exchange)
    with pytest.raises(ResponseError, match="after the final one"):
        exchange.interim(InterimResponse(1, 103, []))


@pytest.mark.parametrize("status", [100, 103, 0, 1000])
def test_what_is_no_final_response(status: int) -> None:
    with pytest.raises(ResponseError, match=f"the application sent .*{status}"):
        start(Exchange(1), status=status)


def test_101_without_an_upgrade_request() -> None:
    with pytest.raises(ResponseError, match="asked for no upgrade"):
        start(Exchange(1), status=101)


def test_101_has_no_body() -> None:
    exchange = Exchange(1, upgradable=True)
    start(exchange, status=101)
    with pytest.raises(ResponseError, match="cannot have one"):
        exchange.data(ResponseData(1, b"x"))


def test_only_one_response_to_a_request() -> None:
    exchange = Exchange(1)
    start(exchange)
    assert exchange.started
    with pytest.raises(ResponseError, match="second response"):
        start(exchange)


def test_no_body_before_the_head() -> None:
    with pytest.raises(ResponseError, match="before the response's head"):
        Exchange(1).data(ResponseData(1, b"x"))


@pytest.mark.parametrize("length", [b"", b"-1", b"1, 1", b"x", b"1.0"])
def test_a_content_length_is_a_number(length: bytes) -> None:
    with pytest.raises(ResponseError, match="no number"):
        start(Exchange(1), (b"content-length", length))


def test_content_lengths_agree() -> None:
    twice = (b"content-length", b"1")
    assert start(Exchange(1), twice, twice).count(b"content-length") == 1
    with pytest.raises(ResponseError, match="two different"):
        start(Exchange(1), twice, (b"content-length", b"2"))


@pytest.mark.parametrize(("data", "fault"), [(b"abcd", "1 bytes over"), (b"ab", "1 bytes under")])
def test_the_body_is_as_long_as_was_said(data: bytes, fault: str) -> None:
    exchange = Exchange(1)
    start(exchange, (b"content-length", b"3"))
    with pytest.raises(ResponseError, match=fault):
        exchange.data(ResponseData(1, data, ended=True))
    assert exchange.closes


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x", b"\r\n"),
        (b"x", b"a\nb"),
        (b"x", b"a\0b"),
        (b"date", b"a\rb"),
        (b"x\r\ny", b"a"),
        (b"x y", b"a"),
        (b"", b"a"),
    ],
)
def test_headers_cannot_inject_lines_rfc9112_11_1(header: tuple[bytes, bytes]) -> None:
    exchange = Exchange(1, upgradable=True)
    with pytest.raises(ResponseError, match="the application sent"):
        start(exchange, header)
    with pytest.raises(ResponseError, match="the application sent"):
        start(exchange, header, status=101)
    with pytest.raises(ResponseError, match="the application sent"):
        exchange.interim(InterimResponse(1, 103, [header]))
    # Nothing was started: an error page can take the response's place.
    assert start(exchange, status=500).startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize(
    ("headers", "data", "ended", "sent"),
    [
        ([(b"content-length", b"2")], b"hi", True, (b"content-length: 2", b"hi")),
        ([(b"Content-Length", b"2")], b"h", False, (b"content-length: 2", b"h")),
        ([], b"hi", False, (b"transfer-encoding: chunked", b"2\r\nhi\r\n")),
        ([], b"hi", True, (b"transfer-encoding: chunked", b"2\r\nhi\r\n0\r\n\r\n")),
    ],
)
def test_a_head_and_the_first_part_of_its_body_are_made_together(
    headers: list[tuple[bytes, bytes]], data: bytes, ended: bool, sent: tuple[bytes, bytes]
) -> None:
    exchange = Exchange(1)
    assert exchange.open(200, [DATE, *headers], data, ended) == (
        OK + sent[0] + b"\r\n\r\n",
        sent[1],
    )
    assert exchange.started


@pytest.mark.parametrize(
    ("status", "headers", "data"),
    [
        (200, [(b"content-length", b"3")], b"four"),
        (200, [(b"content-length", b"3")], b"to"),
        (200, [(b"bad name", b"")], b""),
        (204, [], b"x"),
    ],
)
def test_a_response_that_contradicts_itself_leaves_room_for_another(
    status: int, headers: list[tuple[bytes, bytes]], data: bytes
) -> None:
    exchange = Exchange(1)
    with pytest.raises(ResponseError, match="the application sent"):
        exchange.open(status, headers, data, True)
    head, body = exchange.open(500, [(b"content-length", b"4")], b"oops", True)
    assert head.startswith(b"HTTP/1.1 500 ")
    assert body == b"oops"


def test_a_body_that_others_write_has_no_length_of_its_own() -> None:
    head, coding = Exchange(1).start_coded(ResponseStarted(1, 200, [DATE]))
    assert head == OK + b"transfer-encoding: chunked\r\n\r\n"
    assert (coding.frame(b"ab"), coding.end) == (b"2\r\nab\r\n", b"0\r\n\r\n")
    head, coding = Exchange(1, old=True).start_coded(ResponseStarted(1, 200, [DATE]))
    assert head == OK + b"connection: close\r\n\r\n"
    assert (coding.frame(b"ab"), coding.end) == (b"ab", b"")
    exchange = Exchange(1)
    with pytest.raises(ResponseError, match="whose length is fixed"):
        exchange.start_coded(ResponseStarted(1, 200, [(b"content-length", b"3")]))
    assert not exchange.started
