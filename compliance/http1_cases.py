"""What a server must do with right, wrong and ambiguous HTTP/1.1 requests, section by section.

What lives here: the cases, after RFC 9110 and RFC 9112, and what request smuggling has made use of.
What must not: how the server under test is reached (`http1`).

The server under test runs the application `http1.mirror`, whose answer to ``POST /a`` with the body
``b`` is ``POST /a b``. Behind each case a last request follows on the same connection. An outcome
is the answers in their order: a body for a 200, else a status; `END` is the last request's answer,
and where it is missing, the server must have closed before.
"""

from __future__ import annotations

from dataclasses import dataclass

END = "(the last request is answered)"
Outcome = tuple[str, ...]
#: The server may also close without a word: not every refusal has to be explained.
SILENT: Outcome = ()


@dataclass(frozen=True)
class Case:
    """One thing to send, and what may come of it.

    ``sentinel``: the last request follows; without, the sending side is closed instead.
    """

    section: str
    text: str
    raw: bytes
    outcomes: tuple[Outcome, ...]
    sentinel: bool = True

    @property
    def head_only(self) -> bool:
        return self.raw.startswith(b"HEAD ")

    def __str__(self) -> str:
        return f"{self.section} {self.text}"


CASES: list[Case] = []


# Builders of requests and cases ------------------------------------------------------------------


def request(
    *lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: a"
) -> bytes:
    """A request's head; ``host=None``: without one."""
    first = [line] if host is None else [line, host]
    return b"\r\n".join([*first, *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return request(*lines, line=b"POST / HTTP/1.1") + body


def chunked(body: bytes, *lines: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def good(section: str, text: str, raw: bytes, *answers: str) -> None:
    """Requests that are answered; so is the last one."""
    CASES.append(Case(section, text, raw, ((*answers, END),)))


def final(section: str, text: str, raw: bytes, *answers: str) -> None:
    """Requests that are answered, after which the server closes."""
    CASES.append(Case(section, text, raw, (answers,)))


def bad(section: str, text: str, raw: bytes, *statuses: int) -> None:
    """A request that is refused, by default with 400, or hung up on; nothing more is answered."""
    outcomes = tuple((str(status),) for status in statuses or (400,))
    CASES.append(Case(section, text, raw, (*outcomes, SILENT)))


def either(section: str, text: str, raw: bytes, answer: str, *statuses: int) -> None:
    """A request about which the RFC leaves it to the server: right answer or refusal."""
    outcomes = tuple((str(status),) for status in statuses or (400,))
    CASES.append(Case(section, text, raw, ((answer, END), *outcomes, SILENT)))


def cut(section: str, text: str, raw: bytes, *outcomes: Outcome) -> None:
    """A request that is cut short by the end of the connection."""
    CASES.append(Case(section, text, raw, outcomes, sentinel=False))


# RFC 9112 2.2 Parsing ----------------------------------------------------------------------------

good("RFC 9112 2.2", "a plain request", request(), "GET / ")
good("RFC 9112 2.2", "an empty line before the request", b"\r\n" + request(), "GET / ")
either("RFC 9112 2.2", "several empty lines before it", b"\r\n\r\n" + request(), "GET / ")
bad("RFC 9112 2.2", "a bare LF before it", b"\n" + request())
bad("RFC 9112 2.2", "a bare CR before it", b"\r" + request())
bad("RFC 9112 2.2", "a space before it", b" " + request())
bad("RFC 9112 2.2", "a tab before it", b"\t" + request())
bad("RFC 9112 2.2", "a bare LF behind the request line", request().replace(b"1.1\r", b"1.1"))
bad("RFC 9112 2.2", "a bare LF behind a field", request(b"X: y\nX: z"))
bad("RFC 9112 2.2", "bare LFs at the head's end", request()[:-4] + b"\n\n")
bad("RFC 9112 2.2", "a bare LF as the empty line", request()[:-2] + b"\n")
bad("RFC 9112 2.2", "a bare CR behind a field", request(b"X: y\rX: z"))
bad("RFC 9112 2.2", "a bare CR in the request line", request(line=b"GET /\r HTTP/1.1"))
bad("RFC 9112 2.2", "CR CR LF behind a field", request(b"X: y\r"))
bad("RFC 9112 2.2", "a space before the first field", request(b"X: y", host=b" Host: a"))
bad("RFC 9112 2.2", "white space instead of fields", request(b" ", host=None))

# RFC 9112 2.3 The version ------------------------------------------------------------------------

good(
    "RFC 9112 2.3", "HTTP/1.0", request(b"Connection: keep-alive", line=b"GET / HTTP/1.0"), "GET / "
)
either("RFC 9112 2.3", "HTTP/1.2", request(line=b"GET / HTTP/1.2"), "GET / ", 505, 400)
for _version in (b"HTTP/2.0", b"HTTP/3.0", b"HTTP/0.9", b"HTTP/9.9"):
    bad("RFC 9112 2.3", _version.decode(), request(line=b"GET / " + _version), 505, 400)
for _version in (
    b"HTTP/1.1 ", b"HTTP/1.1\t", b" HTTP/1.1", b"HTTP/ 1.1", b"HTTP/1 .1", b"HTTP/1.", b"HTTP/1",
    b"HTTP/.1", b"HTTP/01.1", b"HTTP/1.01", b"HTTP/1.10", b"HTTP/11", b"HTTP/1,1", b"HTTP1.1",
    b"http/1.1", b"Http/1.1", b"HTTPS/1.1", b"HTTP/-1.1", b"HTTP/1.1x", b"HTTP", b"RTSP/1.0",
    b"ICE/1.0", b"ICY/1.0", b"SIP/2.0", b"HTTP/1.1 HTTP/1.1", b"HTTP/1.1\0", b"\xffTTP/1.1",
):  # fmt: skip
    bad("RFC 9112 2.3", f"the version {_version!r}", request(line=b"GET / " + _version), 400, 505)
for _version in (b"RTSP/1.0", b"ICE/1.0"):
    bad(
        "RFC 9112 2.3",
        f"SOURCE and {_version!r}",
        request(line=b"SOURCE / " + _version),
        400,
        501,
        505,
    )
    bad(
        "RFC 9112 2.3",
        f"{_version!r} that closes",
        request(b"Connection: close", line=b"GET / " + _version),
        400,
        505,
    )
bad("RFC 9112 2.3", "no version", request(line=b"GET /"), 400, 505)
bad("RFC 9112 2.3", "no version and no fields", b"GET /\r\n", 400, 505)
bad("RFC 9112 2.3", "no version, a space", b"GET / \r\n", 400, 505)

# RFC 9112 3 The request line ---------------------------------------------------------------------

good("RFC 9112 3.1", "a method of one's own", request(line=b"PURGE / HTTP/1.1"), "PURGE / ")
for _method in (b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE"):
    good(
        "RFC 9112 3.1",
        f"a {_method.decode()} request",
        request(line=_method + b" / HTTP/1.1"),
        f"{_method.decode()} / ",
    )
for _method in (b"get", b"Get", b"GeT"):
    bad(
        "RFC 9112 3.1",
        f"the method {_method!r}",
        request(line=_method + b" / HTTP/1.1"),
        501,
        405,
        400,
    )
for _method in (b"G\0T", b"G(T", b"\xc9T", b"GE\tT", b"GET\x0b", b"", b"GET\r\n", b"G" * 100_000):
    bad(
        "RFC 9112 3.1",
        f"the method {_method[:8]!r}, {len(_method)} long",
        request(line=_method + b" / HTTP/1.1"),
        400,
        501,
        414,
    )
bad("RFC 9112 3", "two spaces behind the method", request(line=b"GET  / HTTP/1.1"))
bad("RFC 9112 3", "two spaces before the version", request(line=b"GET /  HTTP/1.1"))
bad("RFC 9112 3", "a tab behind the method", request(line=b"GET\t/ HTTP/1.1"))
bad("RFC 9112 3", "a tab before the version", request(line=b"GET /\tHTTP/1.1"))
bad("RFC 9112 3", "a vertical tab before the version", request(line=b"GET /\x0bHTTP/1.1"))
bad("RFC 9112 3", "a form feed before the version", request(line=b"GET /\x0cHTTP/1.1"))
bad("RFC 9112 3", "no target", request(line=b"GET  HTTP/1.1"))
bad("RFC 9112 3", "the method alone", b"GET\r\n\r\n")
good(
    "RFC 9112 3",
    "a target of 8,000 bytes",
    request(line=b"GET /" + b"a" * 8000 + b" HTTP/1.1"),
    "GET /" + "a" * 8000 + " ",
)
bad(
    "RFC 9112 3",
    "a target of 100,000 bytes",
    request(line=b"GET /" + b"a" * 100_000 + b" HTTP/1.1"),
    414,
    431,
    400,
)
bad("RFC 9112 3", "a target without end", b"GET /" + b"a" * 300_000, 414, 431, 400)

# RFC 9112 3.2 The target -------------------------------------------------------------------------

good(
    "RFC 9112 3.2.1",
    "origin-form with a query",
    request(line=b"GET /a/b?c=d&e HTTP/1.1"),
    "GET /a/b?c=d&e ",
)
good("RFC 9112 3.2.1", "an empty query", request(line=b"GET /? HTTP/1.1"), "GET / ")
good(
    "RFC 9112 3.2.1",
    "dot segments are left alone",
    request(line=b"GET /a/../b HTTP/1.1"),
    "GET /a/../b ",
)
good("RFC 9112 3.2.1", "two slashes", request(line=b"GET //b/c HTTP/1.1"), "GET //b/c ")
good(
    "RFC 9112 3.2.1",
    "percent-encoding is left alone",
    request(line=b"GET /%2e%2F%00 HTTP/1.1"),
    "GET /%2e%2F%00 ",
)
for _target in (
    b"a", b"a/b", b"?a", b"#a", b"/#a", b"/a#", b"..", b"index.html", b"http:/a", b"http://",
    b"http:///a", b"/a b", b"/a\tb", b"/a\0b", b"/a\x7fb", b"/a\x01b", b"/\xff", b"/\xc3\xa4",
    b"/a\rb", b"\\a", b"http://a b/", b"http://a\xff/", b"http://me@a/", b"http://me:pw@a/",
    b"ftp://a/", b"file:///etc/passwd", b"gopher://a/", b"mailto:a", b"http://a:port/",
    b"http://[::1/", b"http://a/#f", b"https://", b"://a/", b"javascript:1",
):  # fmt: skip
    bad(
        "RFC 9112 3.2",
        f"the target {_target!r}",
        request(line=b"GET " + _target + b" HTTP/1.1"),
        400,
        404,
        421,
        501,
    )
good("RFC 9112 3.2.2", "absolute-form", request(line=b"GET http://a/b?c HTTP/1.1"), "GET /b?c ")
good(
    "RFC 9112 3.2.2",
    "absolute-form without a path",
    request(line=b"GET http://a HTTP/1.1"),
    "GET / ",
)
good(
    "RFC 9112 3.2.2",
    "absolute-form with a query only",
    request(line=b"GET http://a?b HTTP/1.1"),
    "GET /?b ",
)
good(
    "RFC 9112 3.2.2",
    "absolute-form in capitals",
    request(line=b"GET HTTP://A/b HTTP/1.1"),
    "GET /b ",
)
good(
    "RFC 9112 3.2.2",
    "absolute-form replaces Host",
    request(line=b"GET http://b:81/host HTTP/1.1"),
    "GET /host b:81",
)
either(
    "RFC 9112 3.2.2",
    "absolute-form with https",
    request(line=b"GET https://a/b HTTP/1.1"),
    "GET /b ",
    400,
    421,
)
bad(
    "RFC 9112 3.2.2",
    "absolute-form without Host",
    request(line=b"GET http://a/ HTTP/1.1", host=None),
)
bad(
    "RFC 9112 3.2.2",
    "absolute-form with an invalid Host",
    request(line=b"GET http://a/ HTTP/1.1", host=b"Host: a b"),
)
either(
    "RFC 9112 3.2.2",
    "absolute-form with an empty Host",
    request(line=b"GET http://a/ HTTP/1.1", host=b"Host:"),
    "GET / ",
)
bad(
    "RFC 9112 3.2.3",
    "CONNECT with authority-form",
    request(line=b"CONNECT a:1 HTTP/1.1"),
    501,
    405,
    400,
)
bad(
    "RFC 9112 3.2.3", "CONNECT with origin-form", request(line=b"CONNECT / HTTP/1.1"), 400, 405, 501
)
bad(
    "RFC 9112 3.2.3",
    "CONNECT with absolute-form",
    request(line=b"CONNECT http://a/ HTTP/1.1"),
    400,
    405,
    501,
)
bad("RFC 9112 3.2.3", "authority-form with GET", request(line=b"GET a:80 HTTP/1.1"))
good("RFC 9112 3.2.4", "OPTIONS *", request(line=b"OPTIONS * HTTP/1.1"), "OPTIONS * ")
bad("RFC 9112 3.2.4", "GET *", request(line=b"GET * HTTP/1.1"))
bad("RFC 9112 3.2.4", "OPTIONS */", request(line=b"OPTIONS */ HTTP/1.1"))
bad("RFC 9112 3.2.4", "OPTIONS *?a", request(line=b"OPTIONS *?a HTTP/1.1"))

# Host --------------------------------------------------------------------------------------------

bad("RFC 9112 3.2", "no Host", request(host=None))
good(
    "RFC 9112 3.2",
    "no Host with HTTP/1.0",
    request(b"Connection: keep-alive", line=b"GET / HTTP/1.0", host=None),
    "GET / ",
)
bad("RFC 9112 3.2", "two Hosts", request(b"Host: b"))
bad("RFC 9112 3.2", "two equal Hosts", request(b"Host: a"))
bad("RFC 9112 3.2", "two Hosts in different case", request(b"hOsT: b"))
bad("RFC 9112 3.2", "two Hosts with HTTP/1.0", request(b"Host: b", line=b"GET / HTTP/1.0"))
for _host in (
    b"a b", b"a, b", b"a/b", b"a?b", b"a#b", b"me@a", b"http://a", b"a:b", b"a:80:80", b"a:-1",
    b"a:123456", b"[::1", b"::1", b"[::1]x", b"a\0b", b"a\xff", b"\xc3\xa4", b"a\\b", b'"a"',
    b"a|b",
    b"<a>", b"a\tb", b":80",
):  # fmt: skip
    bad("RFC 9110 7.2", f"Host: {_host!r}", request(host=b"Host: " + _host))
for _host in (
    b"a:80",
    b"a:",
    b"[::1]",
    b"[::1]:80",
    b"127.0.0.1:1",
    b"A.example",
    b"xn--p1ai",
    b"a_b",
):
    good(
        "RFC 9110 7.2",
        f"Host: {_host.decode()}",
        request(line=b"GET /host HTTP/1.1", host=b"Host: " + _host),
        f"GET /host {_host.decode()}",
    )
either("RFC 9110 7.2", "an empty Host", request(host=b"Host:"), "GET / ")

# RFC 9112 5 Fields -------------------------------------------------------------------------------

good(
    "RFC 9112 5.1",
    "white space around a value",
    request(b"X-A:b", b"X-B: \t c \t", b"x-c:", line=b"GET /fields HTTP/1.1"),
    "GET /fields x-a=b;x-b=c;x-c=",
)
good(
    "RFC 9110 5.3",
    "fields keep their order and number",
    request(b"X-A: 1", b"X-B: 2", b"x-a: 3", line=b"GET /fields HTTP/1.1"),
    "GET /fields x-a=1;x-b=2;x-a=3",
)
good(
    "RFC 9110 5.5",
    "obs-text in a value",
    request(b"X-A: \xe4", line=b"GET /fields HTTP/1.1"),
    "GET /fields x-a=\xe4",
)
bad("RFC 9112 5.1", "a space before the colon", request(b"X-A : b"))
bad("RFC 9112 5.1", "a tab before the colon", request(b"X-A\t: b"))
bad(
    "RFC 9112 5.1",
    "a space before Content-Length's colon",
    post(b"Content-Length : 3", body=b"abc"),
)
bad(
    "RFC 9112 5.1",
    "a space before Transfer-Encoding's colon",
    chunked(b"0\r\n\r\n").replace(b"g:", b"g :"),
)
bad("RFC 9112 5", "a field without a colon", request(b"X-A"))
bad("RFC 9112 5", "a field without a name", request(b": b"))
bad("RFC 9112 5", "a colon alone", request(b":"))
for _byte in b'\0\x01\x08\x0b\x0c\x1b\x7f\x80\xff"(),/;<=>?@[\\]{} \t':
    bad(
        "RFC 9110 5.1",
        f"the byte {_byte:#04x} in a name",
        request(b"X" + bytes((_byte,)) + b"A: b"),
    )
for _byte in b"\0\x01\x08\x0b\x0c\x1b\x7f":
    bad(
        "RFC 9110 5.5",
        f"the byte {_byte:#04x} in a value",
        request(b"X-A: b" + bytes((_byte,)) + b"c"),
    )
bad("RFC 9112 5.2", "obs-fold", request(b"X-A: b", b" c"))
bad("RFC 9112 5.2", "obs-fold with a tab", request(b"X-A: b", b"\tc"))
bad("RFC 9112 5.2", "obs-fold of an empty value", request(b"X-A:", b" c"))
bad(
    "RFC 9112 5.2",
    "a folded Transfer-Encoding",
    post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
)
bad(
    "RFC 9112 5.2", "a folded Content-Length", post(b"Content-Length: 1", b" 0", body=b"0123456789")
)
good(
    "RFC 9110 5.4",
    "a field of 8,000 bytes",
    request(b"X-A: " + b"b" * 8000, line=b"GET /fields HTTP/1.1"),
    "GET /fields x-a=" + "b" * 8000,
)
bad("RFC 9110 5.4", "a field of 100,000 bytes", request(b"X-A: " + b"b" * 100_000), 431)
bad("RFC 9110 5.4", "a field without end", request(b"X-A: " + b"b" * 300_000)[:-4], 431)
bad("RFC 9110 5.4", "a name of 100,000 bytes", request(b"X" * 100_000 + b": b"), 431)
bad("RFC 9110 5.4", "1,000 fields", request(*(b"X-%d: b" % n for n in range(1000))), 431)

# RFC 9112 6 The body's framing -------------------------------------------------------------------

good("RFC 9112 6.2", "a counted body", post(b"Content-Length: 5", body=b"hello"), "POST / hello")
good("RFC 9112 6.3", "no framing is no body", post(), "POST / ")
good(
    "RFC 9110 9.3.1",
    "a counted body with GET",
    request(b"Content-Length: 5") + b"hello",
    "GET / hello",
)
good(
    "RFC 9110 9.3.1",
    "a chunked body with GET",
    request(b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n",
    "GET / a",
)
good("RFC 9110 9.3.2", "HEAD has no body", request(line=b"HEAD / HTTP/1.1"), "")
good(
    "RFC 9110 9.3.2",
    "a counted body with HEAD",
    request(b"Content-Length: 2", line=b"HEAD / HTTP/1.1") + b"hi",
    "",
)
good("RFC 9110 8.6", "leading zeros", post(b"Content-Length: 0003", body=b"abc"), "POST / abc")
for _length in (
    b"+3", b"-3", b"-0", b"0x3", b"3 3", b"3;", b"3,", b",3", b"3.0", b"3e0", b"'3'", b'"3"', b"x",
    b"", b"3\0", b"3\x0b", b"\x0b3", b"3_0", b"\xb3", b"\xd9\xa3", b"3, 4", b"3,4", b"0, 3", b"1 0",
    b"99999999999999999999", b"18446744073709551616", b"18446744073709551619", b"9" * 1000,
):  # fmt: skip
    bad(
        "RFC 9110 8.6",
        f"Content-Length: {_length[:24]!r}",
        post(b"Content-Length: " + _length, body=b"abc"),
        400,
        413,
    )
either(
    "RFC 9110 8.6", "Content-Length: 3, 3", post(b"Content-Length: 3, 3", body=b"abc"), "POST / abc"
)
either(
    "RFC 9110 8.6",
    "Content-Length twice, equal",
    post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "POST / abc",
)
bad(
    "RFC 9110 8.6",
    "Content-Length twice, different",
    post(b"Content-Length: 3", b"Content-Length: 4", body=b"abc"),
)
bad(
    "RFC 9110 8.6",
    "Content-Length twice, the first 0",
    post(b"Content-Length: 0", b"content-length: 3", body=b"abc"),
)
good(
    "RFC 9110 8.6",
    "white space around Content-Length",
    post(b"Content-Length:\t 3 \t", body=b"abc"),
    "POST / abc",
)
bad("RFC 9112 6.3", "Content-Length and chunked", chunked(b"0\r\n\r\n", b"Content-Length: 5"))
bad(
    "RFC 9112 6.3",
    "Content-Length before chunked",
    post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
)
bad("RFC 9112 6.3", "Content-Length of 0 and chunked", chunked(b"0\r\n\r\n", b"Content-Length: 0"))
bad(
    "RFC 9112 6.3",
    "Content-Length and an unknown coding",
    post(b"Content-Length: 3", b"Transfer-Encoding: x", body=b"abc"),
    400,
    501,
)
for _coding in (
    b"xchunked", b"x-chunked", b"chunkedx", b"chunked x", b"chunk ed", b"identity", b"gzip",
    b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked, identity",
    b"identity, chunked", b"deflate", b"", b'"chunked"', b"chunked;a=b", b"chunked, ", b", chunked",
    b"\x0bchunked", b"chunked\x0b", b"chunked\0", b"\0chunked", b"\xffchunked", b"chunked\xff",
    b"chunked\x0c", b"cow, chunked", b"chunked\tx", b"gzip;q=1, chunked", b"chun\xc3\xa7ked",
):  # fmt: skip
    _raw = post(b"Transfer-Encoding: " + _coding, body=b"0\r\n\r\n")
    if _coding in (b"chunked, ", b", chunked"):
        # Empty elements of a list are to be ignored (RFC 9110 section 5.6.1.2).
        either("RFC 9112 6.1", f"Transfer-Encoding: {_coding!r}", _raw, "POST / ", 400, 501)
    else:
        bad("RFC 9112 6.1", f"Transfer-Encoding: {_coding!r}", _raw, 400, 501)
either(
    "RFC 9112 7",
    "white space behind chunked",
    post(b"Transfer-Encoding: chunked \t", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "POST / abc",
)
for _coding in (b"chunked", b"Chunked", b"CHUNKED", b"\tchunked"):
    good(
        "RFC 9112 7",
        f"Transfer-Encoding: {_coding!r}",
        post(b"Transfer-Encoding:" + _coding, body=b"3\r\nabc\r\n0\r\n\r\n"),
        "POST / abc",
    )
good(
    "RFC 9110 5.1",
    "TRANSFER-encoding",
    post(b"TRANSFER-encoding: chunked", body=b"0\r\n\r\n"),
    "POST / ",
)
for _second in (b"chunked", b"identity", b"gzip", b"x", b""):
    bad(
        "RFC 9112 6.1",
        f"a second Transfer-Encoding: {_second!r}",
        chunked(b"0\r\n\r\n", b"Transfer-Encoding: " + _second),
        400,
        501,
    )
bad(
    "RFC 9112 6.1",
    "Transfer-Encoding with HTTP/1.0",
    request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0") + b"0\r\n\r\n",
)
bad(
    "RFC 9112 6.1",
    "Transfer-Encoding and keep-alive with HTTP/1.0",
    request(b"Transfer-Encoding: chunked", b"Connection: keep-alive", line=b"POST / HTTP/1.0")
    + b"0\r\n\r\n",
)
good(
    "RFC 9110 5.1",
    "Transfer_Encoding is another field",
    post(b"Transfer_Encoding: chunked", b"Content-Length: 2", body=b"ab"),
    "POST / ab",
)
cut(
    "RFC 9112 8",
    "a counted body that is not whole",
    post(b"Content-Length: 5", body=b"abc"),
    SILENT,
    ("400",),
)
cut("RFC 9112 8", "a chunked body that is not whole", chunked(b"5\r\nabc"), SILENT, ("400",))
cut("RFC 9112 8", "a head that is not whole", b"GET / HTTP/1.1\r\nHost: a\r\n", SILENT, ("400",))

# RFC 9112 7.1 Chunks -----------------------------------------------------------------------------

for _text, _body, _data in (
    ("two chunks", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"),
    ("a size in hexadecimal", b"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ("a size in small letters", b"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ("leading zeros", b"0003\r\nabc\r\n000\r\n\r\n", "abc"),
    ("an extension", b"3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n", "abc"),
    ("trailers", b"3\r\nabc\r\n0\r\nX-A: b\r\nX-B: c\r\n\r\n", "abc"),
    ("data that look like chunks", b"8\r\n\r\n0\r\n\r\n\r\r\n0\r\n\r\n", "\r\n0\r\n\r\n\r"),
):  # fmt: skip
    good("RFC 9112 7.1", _text, chunked(_body), f"POST / {_data}")
for _text, _body in (
    ("a sign", b"+3\r\nabc\r\n0\r\n\r\n"),
    ("a minus", b"-3\r\nabc\r\n0\r\n\r\n"),
    ("0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    ("x3", b"x3\r\nabc\r\n0\r\n\r\n"),
    ("an underscore", b"0_3\r\nabc\r\n0\r\n\r\n"),
    ("a space before the size", b" 3\r\nabc\r\n0\r\n\r\n"),
    ("a space behind the size", b"3 \r\nabc\r\n0\r\n\r\n"),
    ("a tab behind the size", b"3\t\r\nabc\r\n0\r\n\r\n"),
    ("a vertical tab behind the size", b"3\x0b\r\nabc\r\n0\r\n\r\n"),
    ("garbage behind the size", b"3g\r\nabc\r\n0\r\n\r\n"),
    ("NUL behind the size", b"3\0\r\nabc\r\n0\r\n\r\n"),
    ("two sizes", b"3 3\r\nabc\r\n0\r\n\r\n"),
    ("a decimal point", b"3.0\r\nabc\r\n0\r\n\r\n"),
    ("no size", b"\r\nabc\r\n0\r\n\r\n"),
    ("an extension alone", b";a\r\nabc\r\n0\r\n\r\n"),
    ("a size that overflows 32 bits twice", b"100000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("a size of 17 digits", b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    ("a size that overflows 64 bits", b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("a bare LF behind the size", b"3\nabc\r\n0\r\n\r\n"),
    ("a bare CR behind the size", b"3\rabc\r\n0\r\n\r\n"),
    ("CR CR LF behind the size", b"3\r\r\nabc\r\n0\r\n\r\n"),
    ("a bare LF behind the data", b"3\r\nabc\n0\r\n\r\n"),
    ("a bare CR behind the data", b"3\r\nabc\r0\r\n\r\n"),
    ("nothing behind the data", b"3\r\nabc0\r\n\r\n"),
    ("more data than said", b"3\r\nabcd\r\n0\r\n\r\n"),
    ("less data than said", b"3\r\nab\r\n0\r\n\r\n"),
    ("a bare LF behind the last chunk", b"3\r\nabc\r\n0\n\r\n"),
    ("a bare LF at the end", b"3\r\nabc\r\n0\r\n\n"),
    ("a bare CR at the end", b"3\r\nabc\r\n0\r\n\rX"),
    ("a bare LF in an extension", b"3;a\nabc\r\n0\r\n\r\n"),
    ("a bare CR in an extension", b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("NUL in an extension", b"3;a\0b\r\nabc\r\n0\r\n\r\n"),
    ("a control byte in an extension", b"3;a\x01b\r\nabc\r\n0\r\n\r\n"),
    ("a control byte in an extension's value", b"3;a=\x7f\r\nabc\r\n0\r\n\r\n"),
    ("an extension without end", b"3;" + b"a" * 300_000),
    ("a bare LF in trailers", b"0\r\nX-A: b\nX-B: c\r\n\r\n"),
    ("a space before a trailer's colon", b"0\r\nX-A : b\r\n\r\n"),
    ("a trailer without a colon", b"0\r\nX-A\r\n\r\n"),
    ("obs-fold in trailers", b"0\r\nX-A: b\r\n c\r\n\r\n"),
    ("NUL in a trailer", b"0\r\nX-A: \0\r\n\r\n"),
    ("white space at the trailers' start", b"0\r\n X-A: b\r\n\r\n"),
):  # fmt: skip
    bad("RFC 9112 7.1", _text, chunked(_body), 400, 413, 431)
bad(
    "RFC 9112 7.1.2",
    "trailers over the limit",
    chunked(b"0\r\nX: " + b"b" * 100_000 + b"\r\n\r\n"),
    431,
    400,
)
bad("RFC 9112 7.1.2", "1,000 trailers", chunked(b"0\r\n" + b"X: y\r\n" * 1000 + b"\r\n"), 431, 400)
either(
    "RFC 9112 7.1",
    "a space before an extension",
    chunked(b"3 ;a\r\nabc\r\n0\r\n\r\n"),
    "POST / abc",
)
for _trailer in (b"Content-Length: 30", b"Transfer-Encoding: chunked", b"Host: b", b"Trailer: x"):
    either(
        "RFC 9110 6.5.1",
        f"the trailer {_trailer.decode()} is not obeyed",
        chunked(b"3\r\nabc\r\n0\r\n" + _trailer + b"\r\n\r\n"),
        "POST / abc",
    )

# RFC 9112 9 Connections --------------------------------------------------------------------------

good("RFC 9112 9.3", "three requests at once", request() * 3, "GET / ", "GET / ", "GET / ")
final("RFC 9112 9.6", "Connection: close", request(b"Connection: close"), "GET / ")
final("RFC 9112 9.6", "Connection: Close among others", request(b"Connection: x, Close"), "GET / ")
final(
    "RFC 9112 9.6",
    "Connection twice",
    request(b"Connection: keep-alive", b"Connection: close"),
    "GET / ",
)
final(
    "RFC 9112 9.6",
    "close behind two requests",
    request() + request(b"Connection: close") + request(),
    "GET / ",
    "GET / ",
)
final("RFC 9112 9.3", "HTTP/1.0", request(line=b"GET / HTTP/1.0"), "GET / ")
final(
    "RFC 9112 9.3",
    "HTTP/1.0 with close and keep-alive",
    request(b"Connection: keep-alive, close", line=b"GET / HTTP/1.0"),
    "GET / ",
)
good(
    "RFC 9112 9.3",
    "HTTP/1.0 with keep-alive",
    request(b"Connection: Keep-Alive", line=b"GET / HTTP/1.0"),
    "GET / ",
)
good("RFC 9110 7.6.1", "an unknown connection option", request(b"Connection: x"), "GET / ")
final(
    "RFC 9112 9.3.2", "a bad request behind a good one", request() + b"GET\r\n\r\n", "GET / ", "400"
)
final(
    "RFC 9112 9.3.2",
    "a bad one between good ones",
    request() + request(b"X : y") + request(),
    "GET / ",
    "400",
)
final(
    "RFC 9112 9.3.2",
    "two spaces in a request behind a good one",
    request() + request(line=b"GET  / HTTP/1.1"),
    "GET / ",
    "400",
)
final(
    "RFC 9112 9.3.2",
    "a bare LF between two requests",
    request() + b"\n" + request(),
    "GET / ",
    "400",
)
final(
    "RFC 9112 9.3.2",
    "RTSP behind a good request",
    request() + request(line=b"GET / RTSP/1.0"),
    "GET / ",
    "400",
)
good(
    "RFC 9112 9.3.2",
    "an empty line between two requests",
    request() + b"\r\n" + request(),
    "GET / ",
    "GET / ",
)
good(
    "RFC 9112 9.3.2",
    "a body, then a request",
    post(b"Content-Length: 3", body=b"abc") + request(),
    "POST / abc",
    "GET / ",
)
good(
    "RFC 9112 9.3.2",
    "chunks, then a request",
    chunked(b"3\r\nabc\r\n0\r\n\r\n") + request(),
    "POST / abc",
    "GET / ",
)

# RFC 9110 ----------------------------------------------------------------------------------------

good(
    "RFC 9110 10.1.1",
    "Expect: 100-continue",
    post(b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"),
    "POST / abc",
)
good(
    "RFC 9110 10.1.1",
    "Expect: 100-Continue without a body",
    request(b"Expect: 100-Continue"),
    "GET / ",
)
for _expect in (b"200-ok", b"100-continue, x", b"100-continue=1", b"x", b""):
    bad("RFC 9110 10.1.1", f"Expect: {_expect!r}", request(b"Expect: " + _expect), 417, 400)
good(
    "RFC 9110 10.1.1",
    "Expect with HTTP/1.0",
    request(
        b"Expect: 100-continue",
        b"Connection: keep-alive",
        b"Content-Length: 3",
        line=b"POST / HTTP/1.0",
    )
    + b"abc",
    "POST / abc",
)
good(
    "RFC 9110 15.3.5",
    "204 has neither body nor length",
    request(line=b"GET /status/204 HTTP/1.1"),
    "204",
)
good("RFC 9110 15.4.5", "304 has no body", request(line=b"GET /status/304 HTTP/1.1"), "304")
good(
    "RFC 9110 7.8",
    "an upgrade to h2c is ignored",
    request(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
    "GET / ",
)
good(
    "RFC 9110 7.8",
    "an upgrade with a counted body",
    post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 3", body=b"abc"),
    "POST / abc",
)
good(
    "RFC 9110 7.8",
    "an upgrade with chunks",
    chunked(b"3\r\nabc\r\n0\r\n\r\n", b"Connection: Upgrade", b"Upgrade: x"),
    "POST / abc",
)
good(
    "RFC 9110 7.8",
    "Upgrade without the connection option",
    request(b"Upgrade: websocket"),
    "GET / ",
)
good(
    "RFC 9110 7.8",
    "Upgrade with HTTP/1.0",
    request(b"Upgrade: websocket", b"Connection: keep-alive, upgrade", line=b"GET / HTTP/1.0"),
    "GET / ",
)
good(
    "RFC 9110 7.8",
    "an upgrade to an unknown protocol",
    request(b"Connection: upgrade", b"Upgrade: foo/1"),
    "GET / ",
)
either(
    "RFC 6455 4.2.1",
    "a WebSocket with a request body is no WebSocket",
    request(
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"Content-Length: 27",
    )
    + request(),
    "GET / " + request().decode(),
)
bad("RFC 9112 2.2", "a TLS handshake", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160))
bad("RFC 9112 2.2", "zeros", bytes(1000))
