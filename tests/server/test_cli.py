"""The command line: options from `ServerConfig`, and errors a person can read."""

import dataclasses
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

import seaway
from seaway.exceptions import ConfigurationError
from seaway.server.cli import main
from seaway.server.config import ServerConfig
from tests.server.harness import ServerProcess, write_module


def test_every_option_is_on_the_command_line_and_in_the_environment() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"], terminal_width=200).output
    for field in dataclasses.fields(ServerConfig):
        assert f"--{field.name.replace('_', '-')}" in text
        assert f"SEAWAY_{field.name.upper()}" in text


def test_the_version() -> None:
    assert (
        CliRunner().invoke(main, ["--version"]).output == f"seaway, version {seaway.__version__}\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "workers is at least 1; not 0."),
        (["--bind", "nowhere"], "'nowhere' is not HOST:PORT, [IPV6]:PORT or unix:/path."),
        (["--bind", "localhost:99999"], "'localhost:99999' has no port from 0 to 65535."),
        (["--bind", "::1:80"], "'::1:80' is not HOST:PORT, [IPV6]:PORT or unix:/path."),
        (["--certfile", "/no/such"], "certfile: there is no file /no/such."),
        (["--keyfile", "/no/such"], "keyfile is of no use without certfile."),
        (["--root-path", "app"], 'root_path starts with "/" and does not end with it.'),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["serve", "x:y", *arguments])
    assert result.exit_code == 1
    assert result.output == f"Error: {message}\n"


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(main, ["serve", "x:y", "--bind", address])
    assert result.exit_code == 1
    assert result.output == f"Error: Cannot listen on {address}: the address is already in use.\n"


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="loop is one of auto, uvloop, asyncio"):
        ServerConfig(loop="trio")


LIFESPAN = """
    async def application(scope, receive, send):
        await receive()
        {body}
"""


@pytest.mark.parametrize(
    ("source", "target", "said", "traced"),
    [
        (None, "absent:app", "Error: There is no module absent (", False),
        ("", "broken:app", "Error: The module broken has no app.", False),
        ("app = 3", "broken:app", "Error: broken:app is not an ASGI application: ", False),
        ("import not_there", "broken:app", "Error: Cannot import broken: ModuleNotFound", True),
        ("1 / 0", "broken:app", "Error: Cannot import broken: ZeroDivisionError: ", True),
        ("def (", "broken:app", "Error: Cannot import broken: SyntaxError: ", False),
        (
            LIFESPAN.format(
                body="await send({'type': 'lifespan.startup.failed', 'message': 'not ready'})"
            ),
            "broken",
            "Error: The application's startup failed: not ready",
            False,
        ),
        ("import os; os._exit(3)", "broken:app", "before it was ready: exit status 3.", False),
    ],
)
def test_an_application_that_cannot_start(
    source: str | None, target: str, said: str, traced: bool, tmp_path: Path
) -> None:
    if source is not None:
        write_module(tmp_path, "broken", source)
    with ServerProcess(tmp_path, target, "--bind", "127.0.0.1:0") as server:
        assert server.wait() == 1
        assert said in server.output[-1]
        assert ("Traceback" in server.text) is traced
        # Of the traceback, only what is the user's own.
        assert "seaway/server" not in server.text
        assert "http://" not in server.text


def test_a_startup_that_raises_where_the_lifespan_is_insisted_on(tmp_path: Path) -> None:
    write_module(tmp_path, "broken", LIFESPAN.format(body="raise ValueError('no database')"))
    with ServerProcess(tmp_path, "broken", "--bind", "127.0.0.1:0", "--lifespan", "on") as server:
        assert server.wait() == 1
        assert (
            "Error: The application's startup failed: ValueError: no database" in server.output[-1]
        )
        assert "Traceback" in server.text
        assert "seaway/server" not in server.text
