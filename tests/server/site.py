"""A site that the server serves in processes of its own, and its visitors.

What lives here: its source, asking it once, and asking it all the time.
What must not: what a server is told and does meanwhile.
"""

import contextlib
import threading
from collections.abc import Iterator

from tests.server.harness import ServerProcess

APP = """
    import asyncio, os

    VERSION = "1"

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["seaway.describe"] = ["layer: none, this is a test"]
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("shutdown ran", flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            return
        if scope["path"] == "/crash":
            os._exit(7)
        if scope["path"] == "/slow":
            print("slow begun", flush=True)
            await asyncio.sleep(0.5)
        body = f"{VERSION} {os.getpid()}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""


def ask(server: ServerProcess, path: str = "/") -> tuple[str, int]:
    """(version, pid) of the worker that answers a new connection."""
    with server.connect() as client:
        version, pid = client.request(path).body.decode().split()
        return version, int(pid)


@contextlib.contextmanager
def load(
    server: ServerProcess, *, keep: tuple[bool, ...], pause: float = 0.0
) -> Iterator[list[tuple[str, int]]]:
    """Visitors who ask again and again; fails if one of them is not answered.

    :param keep: one visitor each: whether it keeps its connection for the next request.
    :param pause: seconds between a visitor's requests.
    :returns: the (version, pid) of each answer so far.
    """
    stop = threading.Event()
    answers: list[tuple[str, int]] = []
    failures: list[Exception] = []

    def visit(keeps: bool) -> None:
        client = server.connect()
        try:
            while not stop.is_set():
                response = client.request()
                version, pid = response.body.decode().split()
                answers.append((version, int(pid)))
                if not keeps or response.headers.get("connection") == "close":
                    client.socket.close()
                    client = server.connect()
                stop.wait(pause)
        except Exception as error:  # noqa: BLE001 - any failure fails the test
            failures.append(error)
        finally:
            client.socket.close()

    visitors = [threading.Thread(target=visit, args=(keeps,)) for keeps in keep]
    for visitor in visitors:
        visitor.start()
    try:
        yield answers
    finally:
        stop.set()
        for visitor in visitors:
            visitor.join()
    assert failures == []
