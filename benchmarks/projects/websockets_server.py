"""websockets' asyncio server on uvloop; a number as a message broadcasts so many events.

Usage: python -m benchmarks.projects.websockets_server PORT
"""

import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.projects.payload import EVENT

connections: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    connections.add(connection)
    try:
        async for message in connection:
            for _ in range(int(message)):
                broadcast(connections, EVENT)
    finally:
        connections.discard(connection)


async def main(port: int) -> None:
    async with serve(handle, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
