"""HTTP/2 by ALPN: a browser, an independent client, and what applications learn of TLS."""

import contextlib
import importlib.util
import json
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.server.harness import CapturedLog, RunningServer, serving, wait_until
from tests.server.http2_client import Http2Client
from tests.servers.network import network_stays

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]

PAGE = b"""<!doctype html><title>page</title><script>
window.ask = async () => {
  const socket = new WebSocket(location.href.replace("https", "wss") + "ws");
  const heard = await new Promise((resolve, reject) => {
    socket.onopen = () => socket.send("over h2?");
    socket.onmessage = (event) => resolve(event.data);
    socket.onerror = () => reject(new Error("no websocket"));
  });
  const closed = new Promise((resolve) => { socket.onclose = (e) => resolve(`${e.code}`); });
  socket.close(4000, "bye");
  await fetch("/other");
  const entries = performance.getEntries().filter((entry) => entry.nextHopProtocol);
  return { heard, closed: await closed, hops: entries.map((entry) => entry.nextHopProtocol) };
};
</script>"""


class Site:
    """A page, and a WebSocket that echoes; notes the scopes."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({**message, "type": "websocket.send"})
            return
        fields = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": PAGE})


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.contextmanager
def serving_tls(
    app: Any, authority: trustme.CA, folder: Path, **options: Any
) -> Iterator[RunningServer]:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    path = folder / "certificate.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(path)
    with serving(app, certfile=str(path), **options) as server:
        yield server


def client_context(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_alpn_chooses_the_version(authority: trustme.CA, tmp_path: Path, loop: str) -> None:
    app = Site()
    with serving_tls(app, authority, tmp_path, loop=loop) as server:
        for http2, version in ((True, "2"), (False, "1.1")):
            context = client_context(authority)
            with httpx.Client(http2=http2, verify=context) as client:
                assert client.get(server.url).content == PAGE
                assert app.scopes[-1]["http_version"] == version
                assert app.scopes[-1]["scheme"] == "https"
        # Without ALPN the preface means nothing over TLS.
        with server.connect(tls=client_context(authority)) as plain:
            assert plain.request().status == 200


def test_switched_off_it_is_not_offered(authority: trustme.CA, tmp_path: Path) -> None:
    with (
        serving_tls(Site(), authority, tmp_path, http2=False) as server,
        server.connect(tls=client_context(authority, "h2", "http/1.1")) as client,
    ):
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"


def test_what_applications_learn_of_tls(authority: trustme.CA, tmp_path: Path) -> None:
    app = Site()
    with serving_tls(app, authority, tmp_path) as server:
        for protocol in ("h2", "http/1.1"):
            client = server.connect(tls=client_context(authority, protocol))
            assert isinstance(client.socket, ssl.SSLSocket)
            shown = client.socket.getpeercert(binary_form=True)
            suite = client.socket.cipher()
            with client:
                if protocol == "h2":
                    Http2Client(server, client=client).get()
                else:
                    client.request()
            tls = app.scopes[-1]["extensions"]["tls"]
            assert ssl.PEM_cert_to_DER_cert(tls["server_cert"]) == shown
            assert tls["tls_version"] == 0x0304
            assert suite is not None
            assert tls["cipher_suite"] in {0x1301, 0x1302, 0x1303}, suite
            assert tls["client_cert_chain"] == []
            assert (tls["client_cert_name"], tls["client_cert_error"]) == (None, None)


def test_a_large_download(authority: trustme.CA, tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(50_000), "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    with (
        serving_tls(app, authority, tmp_path) as server,
        httpx.Client(http2=True, verify=client_context(authority), timeout=20) as client,
    ):
        answer = client.get(server.url)
        assert answer.http_version == "HTTP/2"
        assert answer.content == bytes(5_000_000) + b"end"


@pytest.mark.browser
@pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="Chromium and Playwright are not installed",
)
def test_a_browser_uses_it_for_pages_and_websockets(
    authority: trustme.CA, tmp_path: Path, log: CapturedLog
) -> None:
    from playwright.sync_api import sync_playwright

    app = Site()
    with (
        serving_tls(app, authority, tmp_path, access_log=True) as server,
        network_stays(),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_context(ignore_https_errors=True).new_page()
            page.goto(f"{server.url}/")
            found = page.evaluate("ask()")
        finally:
            browser.close()
        wait_until(lambda: "websocket" in log.events)
    assert found["heard"] == "over h2?", json.dumps(found)
    assert found["closed"] == "4000"
    assert set(found["hops"]) == {"h2"}
    by_type = {(scope["type"], scope["http_version"]) for scope in app.scopes}
    assert by_type == {("http", "2"), ("websocket", "2")}
