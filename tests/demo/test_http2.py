"""Topics over HTTP/2: what Chromium makes of our client when a page comes by HTTPS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.demo.conftest import missing
from tests.demo.test_fallback import Tab
from tests.transports.fallback.site.served import SECURE, Site, serving

pytestmark = pytest.mark.browser
if missing():
    pytest.skip(missing(), allow_module_level=True)

#: The protocols that the page's connections have spoken; a WebSocket has no entry.
HOPS = "[...new Set(performance.getEntries().map(e => e.nextHopProtocol).filter(Boolean))]"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving(command=SECURE, SITE_PING_SECONDS="25") as site:
        yield site


@pytest.mark.parametrize(
    ("transport", "scope"),
    [
        ("websocket", "websocket 2 wss /seaway/"),
        ("sse", "http 2 https /seaway/"),
        ("polling", "http 2 https /seaway/"),
    ],
)
def test_a_topic_over_http_2(site: Site, browser: Any, transport: str, scope: str) -> None:
    before = len(site.scopes())
    context = browser.new_context(ignore_https_errors=True)
    tab = Tab(context.new_page(), site.url, f"rooms/{transport}")
    if transport == "websocket":
        tab.connect().uses(transport)
    else:
        tab.connect(transport).uses(transport)
    assert tab.call("echo", text="Grüße 🌊") == "Grüße 🌊"
    tab.call("say", text="one")
    site.publish(tab.room, "said", {"text": "two"})
    tab.hears("one", "two")
    assert tab.page.evaluate(HOPS) == ["h2"]
    context.close()
    asked = site.scopes()[before:]
    assert [line for line in asked if line.startswith(scope)], asked
    # The publication from outside is the one request that was not the browser's.
    own = [line for line in asked if not line.endswith(("/pid", "/seaway/publish"))]
    assert {line.split()[1] for line in own} == {"2"}, asked
    assert any(line.startswith("websocket") for line in own) == (transport == "websocket")
