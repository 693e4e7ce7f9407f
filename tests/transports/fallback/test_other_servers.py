"""The fallback transports under an ASGI server that knows no handoff."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.transports.fallback.clients import Stream, StreamClient, TopicClient
from tests.transports.fallback.site.served import APPLICATION, Site, serving, wait_for

UVICORN = f"uvicorn {APPLICATION} --port={{port}} --timeout-graceful-shutdown=1 --no-access-log"


@pytest.fixture(scope="module")
def uvicorn() -> Iterator[Site]:
    with serving(workers=1, command=UVICORN) as site:
        yield site


def test_the_whole_protocol(uvicorn: Site, connect: Callable[..., TopicClient]) -> None:
    ann, bob = connect(uvicorn), connect(uvicorn)
    ann.join("rooms/other")
    assert len(bob.join("rooms/other")["members"]) == 2
    for number in range(20):
        ann.call("rooms/other", "say", text=str(number))
    assert bob.events(20) == [{"text": str(number)} for number in range(20)]
    text = "seaway " * 100_000
    assert ann.call("rooms/other", "echo", text=text) == text
    bob_id = bob.messages[0]["connection"]
    bob.close()
    ann.first(lambda message: bob_id in message.get("left", ()))
    ann.send({"type": "dance"})
    wait_for(lambda: ann.closed_with, "The close")
    assert ann.closed_with is not None
    assert ann.closed_with["code"] == 4500


def test_a_topic_by_its_url(uvicorn: Site) -> None:
    stream = Stream(uvicorn.line(), "/seaway/topics/feeds/other")
    stream.wait(1)
    uvicorn.publish("feeds/other", "sold", 12)
    assert stream.wait(2)[1].data == "12"
    stream.close()
    refused = Stream(uvicorn.line(), "/seaway/topics/nowhere")
    assert refused.status == 404


def test_heartbeats_and_a_stream_that_the_client_leaves(uvicorn: Site) -> None:
    client = StreamClient(uvicorn)
    before = client.stream.reader.comments
    wait_for(lambda: client.stream.reader.comments > before + 1, "Two heartbeats")
    client.line.close()
    wait_for(lambda: client.send(number=client.number + 1).status == 410, "The end")
