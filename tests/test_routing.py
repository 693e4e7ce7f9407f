"""The routers of the Channels API."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.urls import include, path, re_path

from seaway.asgi import get_asgi_application
from seaway.consumers import AsyncWebsocketConsumer
from seaway.middleware import BaseMiddleware
from seaway.routing import (
    ChannelNameRouter,
    ProtocolTypeRouter,
    URLRouter,
    get_default_application,
)
from seaway.testing import ApplicationCommunicator, WebsocketCommunicator

application = object()

#: Stands for a receive and a send that are not used.
NOBODY: Any = None


class App:
    """Returns a value, and remembers its scope."""

    def __init__(self, value: Any = None) -> None:
        self.value = value
        self.scope: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        self.scope = scope
        return self.value


async def ask(router: Any, at: str, **scope: Any) -> Any:
    return await router({"type": "http", "path": at, **scope}, NOBODY, NOBODY)


# By protocol -------------------------------------------------------------------------------------


async def test_the_protocol_chooses() -> None:
    router = ProtocolTypeRouter({"http": App(1), "websocket": App(2)})
    assert await router({"type": "http"}, NOBODY, NOBODY) == 1
    assert await router({"type": "websocket"}, NOBODY, NOBODY) == 2


async def test_an_unknown_protocol_is_an_error() -> None:
    with pytest.raises(ValueError, match="No application configured for scope type 'mqtt'"):
        await ProtocolTypeRouter({})({"type": "mqtt"}, NOBODY, NOBODY)


async def test_lifespan_is_answered_where_nobody_else_does() -> None:
    communicator = ApplicationCommunicator(ProtocolTypeRouter({}), {"type": "lifespan"})
    await communicator.send_input({"type": "lifespan.startup"})
    assert (await communicator.receive_output())["type"] == "lifespan.startup.complete"
    await communicator.send_input({"type": "lifespan.shutdown"})
    assert (await communicator.receive_output())["type"] == "lifespan.shutdown.complete"
    await communicator.wait()


async def test_topics_live_beside_consumers() -> None:
    class Hello(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            await self.send(text_data="a consumer")

    http = get_asgi_application()
    router = ProtocolTypeRouter({"http": http, "websocket": Hello.as_asgi()})
    lifespan = ApplicationCommunicator(router, {"type": "lifespan"})
    await lifespan.send_input({"type": "lifespan.startup"})
    assert (await lifespan.receive_output())["type"] == "lifespan.startup.complete"
    topics = WebsocketCommunicator(router, "/seaway/", subprotocols=["seaway.v1"])
    assert await topics.connect() == (True, "seaway.v1")
    assert (await topics.receive_json_from())["type"] == "welcome"
    consumer = WebsocketCommunicator(router, "/chat/")
    await consumer.connect()
    assert await consumer.receive_from() == "a consumer"
    await topics.disconnect()
    await consumer.disconnect()
    await lifespan.send_input({"type": "lifespan.shutdown"})
    assert (await lifespan.receive_output(timeout=10))["type"] == "lifespan.shutdown.complete"


# By path -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "answer"), [("/", 1), ("/foo/", 2), ("/bar/", 3), ("/barbar/", 3), ("/n/7/", 4)]
)
async def test_the_path_chooses(at: str, answer: int) -> None:
    routes = [
        path("", App(1)),
        path("foo/", App(2)),
        re_path(r"bar", App(3)),
        path("n/<int:n>/", App(4)),
    ]
    assert await ask(URLRouter(routes), at) == answer


async def test_a_path_without_a_route_is_an_error() -> None:
    with pytest.raises(ValueError, match="No route found for path 'nowhere/'"):
        await ask(URLRouter([path("foo/", App())]), "/nowhere/")


async def test_a_scope_without_a_path_is_an_error() -> None:
    with pytest.raises(ValueError, match="No 'path' key"):
        await URLRouter([])({"type": "http"}, NOBODY, NOBODY)


async def test_what_was_captured_is_in_the_scope() -> None:
    positional, named, default = App(), App(), App()
    router = URLRouter(
        [
            re_path(r"^posarg/(\d+)/$", positional),
            path("kwarg/<str:name>/<int:number>/", named),
            path("default/", default, kwargs={"size": 42}),
        ]
    )
    await ask(router, "/posarg/123/")
    assert positional.scope["url_route"] == {"args": ("123",), "kwargs": {}}
    await ask(router, "/kwarg/hello/7/")
    assert named.scope["url_route"] == {"args": (), "kwargs": {"name": "hello", "number": 7}}
    await ask(router, "/default/")
    assert default.scope["url_route"]["kwargs"] == {"size": 42}


async def test_routers_nest_and_join_what_they_capture() -> None:
    app = App(1)
    inner = URLRouter([re_path(r"^book/(\w+)/$", app), path("page/<int:page>/", app)])
    outer = URLRouter([re_path(r"^universe/(\d+)/", inner), path("shelf/<str:shelf>/", inner)])
    assert await ask(outer, "/universe/42/book/abc/") == 1
    assert app.scope["url_route"] == {"args": ("42", "abc"), "kwargs": {}}
    assert await ask(outer, "/shelf/a/page/3/") == 1
    assert app.scope["url_route"]["kwargs"] == {"shelf": "a", "page": 3}
    assert app.scope["path_remaining"] == ""


async def test_a_router_under_middleware_nests_with_path_as_well() -> None:
    inner = BaseMiddleware(BaseMiddleware(URLRouter([path("chat/", App(1))])))
    assert await ask(URLRouter([path("ws/", inner)]), "/ws/chat/") == 1


async def test_where_an_inner_router_knows_nothing_the_outer_goes_on() -> None:
    inner = URLRouter([path("no-match/", App(1))])
    outer = URLRouter([path("prefix/", inner), path("prefix/stuff/", App(2))])
    outermost = URLRouter([path("", outer)])
    assert await ask(outermost, "/prefix/stuff/") == 2
    with pytest.raises(ValueError, match="No route found"):
        await ask(outermost, "/prefix/nothing/")


async def test_the_root_path_is_left_out() -> None:
    router = URLRouter([path("foo/", App(1))])
    assert await ask(router, "/root/foo/", root_path="/root") == 1
    with pytest.raises(ValueError, match="No route found"):
        await ask(router, "/foo/", root_path="/root")


async def test_routes_may_be_included() -> None:
    seat, room = App(1), App(2)
    inner = [path("seat/<int:number>/", seat), re_path(r"^row/(\w+)/$", seat)]
    router = URLRouter(
        [
            path("hall/<slug:hall>/", include((inner, "hall")), kwargs={"open": True}),
            path("deep/", include([path("er/", include(inner))])),
            path("hall/a/room/", room),
        ]
    )
    assert await ask(router, "/hall/a/seat/3/") == 1
    assert seat.scope["url_route"] == {
        "args": (),
        "kwargs": {"hall": "a", "open": True, "number": 3},
    }
    assert await ask(router, "/deep/er/row/b/") == 1
    assert seat.scope["url_route"] == {"args": ("b",), "kwargs": {}}
    assert await ask(router, "/hall/a/room/") == 2  # nothing included fits: the search goes on
    with pytest.raises(ValueError, match="No route found"):
        await ask(router, "/hall/a/seat/3/more/")


# By channel --------------------------------------------------------------------------------------


async def test_the_channel_chooses() -> None:
    router = ChannelNameRouter({"thumbnails": App(3)})
    assert await router({"type": "channel", "channel": "thumbnails"}, NOBODY, NOBODY) == 3
    with pytest.raises(ValueError, match="channel name 'unknown'"):
        await router({"type": "channel", "channel": "unknown"}, NOBODY, NOBODY)
    with pytest.raises(ValueError, match="without a 'channel' key"):
        await router({"type": "http"}, NOBODY, NOBODY)


# The project's -----------------------------------------------------------------------------------


@override_settings(ASGI_APPLICATION="tests.test_routing.application")
def test_the_default_application_is_that_of_the_settings() -> None:
    assert get_default_application() is application


@pytest.mark.parametrize("name", [None, "tests.nowhere.application", "tests.test_routing.nothing"])
def test_a_wrong_setting_is_said(name: str | None) -> None:
    wrong = pytest.raises(ImproperlyConfigured, match="ASGI_APPLICATION")
    with override_settings(ASGI_APPLICATION=name), wrong:
        get_default_application()
