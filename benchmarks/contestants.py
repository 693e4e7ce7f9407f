"""Who is measured: how each server is started, and how a client joins and triggers events there.

What lives here: one `Contestant` per server and benchmark, Seaway first.
What must not: processes, measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.loads import BUILD, Load
from benchmarks.procs import BenchmarkError, Server, python
from benchmarks.projects.payload import EVENT_BYTES, TOPIC

PROJECTS = "benchmarks.projects"
CHANNELS = f"{PROJECTS}.channels_project.asgi:application"
PLAIN = f"{PROJECTS}.plain_asgi:application"
SEAWAY_SETTINGS = f"{PROJECTS}.seaway_project.settings"

#: Shorter messages than this are replies, not events.
EVENT_MIN = EVENT_BYTES - 20


@dataclass(frozen=True, slots=True)
class Contestant:
    """One server in one benchmark.

    :param trigger: the text message that makes the server publish events; ``%d`` is their number.
    :param first: the text message that each client sends after its handshake.
    :param greetings: messages that a client gets before it is ready.
    """

    name: str
    label: str
    command: Callable[[int], list[str]]
    path: str = "/"
    trigger: str = "%d"
    subprotocol: str = ""
    first: str = ""
    greetings: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def serve(self) -> Server:
        return Server(self.label, self.command, self.environment)

    def load(self, server: Server, connections: int) -> Load:
        """Clients of ``server``, each joined to what the benchmark is about."""
        return Load(
            server.port,
            self.path,
            connections,
            subprotocol=self.subprotocol,
            first=self.first,
            greetings=self.greetings,
            event_min=EVENT_MIN,
        )


def call(action: str, arguments: str = "{}") -> str:
    """Seaway's message that runs an action of the topic; the load fills in the id."""
    return (
        '{"type":"call","id":@ID@,"topic":"%s","action":"%s","args":%s}'  # noqa: UP031 (% is kept)
        % (TOPIC, action, arguments)
    )


def seaway_command(application: str) -> Callable[[int], list[str]]:
    return lambda port: python(
        *("-m", "seaway.server.cli", "serve", application, "--bind", f"127.0.0.1:{port}"),
        *("--max-connections", "50000"),  # its limit is not what is measured
    )


def uvicorn_command(application: str) -> Callable[[int], list[str]]:
    return lambda port: python(
        *("-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port)),
        *("--no-access-log", "--log-level", "warning"),
    )


def daphne_command(application: str) -> Callable[[int], list[str]]:
    return lambda port: python(
        *("-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0", application)
    )


SEAWAY = Contestant(
    "seaway",
    "Seaway",
    seaway_command(f"{PROJECTS}.seaway_project.asgi:application"),
    path="/seaway/",
    trigger=call("burst", '{"count":%d}'),
    subprotocol="seaway.v1",
    first='{"type":"join","id":1,"topic":"%s"}' % TOPIC,  # noqa: UP031 (braces)
    greetings=2,
    environment={"DJANGO_SETTINGS_MODULE": SEAWAY_SETTINGS},
)
C_SEND = Contestant(
    "c_send",
    "C, send() per delivery",
    lambda port: [str(BUILD / "sender"), str(port), str(EVENT_BYTES)],
)
WEBSOCKETS = Contestant(
    "websockets_broadcast",
    "websockets.broadcast, uvloop",
    lambda port: python("-m", f"{PROJECTS}.websockets_server", str(port)),
)
CHANNELS_UVICORN = Contestant(
    "channels_uvicorn", "Channels, uvicorn", uvicorn_command(CHANNELS), path="/fanout/"
)
CHANNELS_DAPHNE = Contestant(
    "channels_daphne", "Channels, Daphne", daphne_command(CHANNELS), path="/fanout/"
)
PLAIN_SEAWAY = Contestant("seaway", "Seaway", seaway_command(PLAIN))
PLAIN_UVICORN = Contestant("uvicorn", "uvicorn", uvicorn_command(PLAIN))
PLAIN_DAPHNE = Contestant("daphne", "Daphne", daphne_command(PLAIN))


def choose(among: Sequence[Contestant], names: Sequence[str]) -> list[Contestant]:
    """Those of ``among`` that are named; all of them when none is."""
    chosen = [one for one in among if not names or one.name in names]
    if not chosen:
        known = ", ".join(one.name for one in among)
        raise BenchmarkError(f"None of {', '.join(names)} takes part here; these do: {known}.")
    return chosen
