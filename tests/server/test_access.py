"""The access log in Apache's combined format."""

import re
import signal
from pathlib import Path

from tests.server.harness import ServerProcess, masked, write_module

APP = """
    async def application(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            return
        body = b"hello"
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""
COMBINED = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] '
    r'"(?P<line>[^"]*)" (?P<status>\d{3}) (?P<size>\d+|-) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"'
)  # fmt: skip


def test_combined(tmp_path: Path) -> None:
    write_module(tmp_path, "site_app", APP)
    options = ("--bind", "127.0.0.1:0", "--lifespan", "off", "--access-log")
    with ServerProcess(tmp_path, "site_app", *options, "--access-format", "combined") as server:
        with server.connect() as client:
            client.request(
                "/a%22b?token=secret",
                "Referer: https://example.com/from?session=secret",
                'User-Agent: Mozilla "quoted" \\ \t5',
            )
            client.upgrade("/live?ticket=secret")
            client.send(masked(0x8))
        server.says("101")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    found = [match for line in server.output if (match := COMBINED.fullmatch(line))]
    assert found[0].group("line", "status") == ("GET /a%22b HTTP/1.1", "200")
    assert found[0]["size"] == "5"
    assert found[0].group("referer", "agent") == (
        "https://example.com/from", r"Mozilla \x22quoted\x22 \x5c \x095"
    )  # fmt: skip
    assert found[1].group("line", "status") == ("GET /live HTTP/1.1", "101")
    assert "secret" not in server.text
