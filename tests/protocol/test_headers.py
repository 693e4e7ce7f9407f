"""Field names, values and lists (RFC 9110 section 5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.exceptions import ResponseError
from seaway.protocol.headers import (
    Remembered,
    check_response_headers,
    comma_list,
    is_token,
    response_name,
    split_quoted,
    token_list,
    value_of,
    values_of,
)

HEADERS = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]


def test_look_ups_keep_the_order_of_the_wire() -> None:
    assert values_of(HEADERS, b"a") == [b"1", b"3"]
    assert value_of(HEADERS, b"a") == b"1"
    assert value_of(HEADERS, b"c") is None


@pytest.mark.parametrize("name", [b"host", b"X-Y_z", b"!#$%&'*+-.^_`|~09"])
def test_tokens_rfc9110_5_6_2(name: bytes) -> None:
    assert is_token(name)


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\n", b"\xff", b"a,b", b'"a"', b"a\0"])
def test_not_tokens_rfc9110_5_6_2(name: bytes) -> None:
    assert not is_token(name)
    with pytest.raises(ResponseError, match="the application"):
        response_name(name)


def test_names_go_out_in_lower_case() -> None:
    assert response_name(b"Content-Type") == b"content-type"


def test_comma_lists_span_fields_and_skip_empty_elements_rfc9110_5_6_1() -> None:
    assert comma_list([b"a, b ,,\tc", b"", b"D"]) == [b"a", b"b", b"c", b"D"]
    assert token_list([b"Upgrade, KEEP-alive"]) == [b"upgrade", b"keep-alive"]


def test_quoted_strings_may_hold_the_separator_rfc9110_5_6_4() -> None:
    assert comma_list([rb'a="x,\",y", b']) == [rb'a="x,\",y"', b"b"]
    assert split_quoted(b'a; b="c;d"; e', b";") == [b"a", b'b="c;d"', b"e"]


@pytest.mark.parametrize("value", [b'a, "b, c', b'a, "b, c\\', b'a, "b, c\\"'])
def test_an_unclosed_quote_takes_the_rest(value: bytes) -> None:
    assert comma_list([value]) == [b"a", value[3:]]


@given(st.lists(st.sampled_from([b'"', b"\\", b",", b"a", b" "]), max_size=60).map(b"".join))
def test_splitting_loses_nothing_but_separators_and_white_space(value: bytes) -> None:
    def essence(data: bytes) -> bytes:
        return data.translate(None, b", ")

    assert essence(b"".join(comma_list([value]))) == essence(value)


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\n", b"\r", b"a\0"])
def test_values_cannot_inject_lines_rfc9110_5_5(value: bytes) -> None:
    with pytest.raises(ResponseError, match="x-name with CR, LF or NUL"):
        check_response_headers([(b"fine", b"yes"), (b"x-name", value)])


def test_ordinary_headers_pass() -> None:
    check_response_headers([(b"Set-Cookie", b"a=\xff; path=/")])


def test_names_are_remembered_but_not_all_that_anybody_makes_up() -> None:
    made: list[bytes] = []

    def lower(name: bytes) -> bytes:
        made.append(name)
        return name.lower()

    names = Remembered(lower, [b"Known"])
    assert [names[b"Known"], names[b"Host"], names[b"Host"]] == [b"known", b"host", b"host"]
    assert made == [b"Known", b"Host"]
    assert [names[b"X" * 65] for _ in range(2)] == [b"x" * 65] * 2
    assert made[2:] == [b"X" * 65] * 2
    for number in range(2000):
        assert names[b"X-%d" % number] == b"x-%d" % number
    assert len(names) == 1024
