"""The command line: ``seaway serve`` and its sisters.

What lives here: options derived from `ServerConfig`, and errors as one line.
What must not: an option of its own.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import seaway
from seaway.exceptions import ConfigurationError
from seaway.migrating.command import migrate
from seaway.server.application import StartupFailed, load
from seaway.server.config import ENVIRONMENT_PREFIX, ServerConfig
from seaway.server.layer_command import layer
from seaway.server.run import run

_TYPES: dict[Any, Any] = {int: int, float: float, str: str, str | None: str, tuple[str, ...]: str}


def options() -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that adds one option for each field of `ServerConfig`."""
    hints = typing.get_type_hints(ServerConfig)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for field in reversed(dataclasses.fields(ServerConfig)):
            command = _option(field, hints[field.name])(command)
        return command

    return decorate


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[..., Any]:
    flag = "--" + field.name.replace("_", "-")
    choices = field.metadata["choices"]
    settings: dict[str, Any] = {
        "help": field.metadata["help"],
        "default": field.default,
        "envvar": ENVIRONMENT_PREFIX + field.name.upper(),
        "show_envvar": True,
        "show_default": field.default not in (None, ""),
    }
    if hint is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", field.name, **settings)
    settings["type"] = click.Choice(choices) if choices else _TYPES[hint]
    settings["multiple"] = hint == tuple[str, ...]
    return click.option(flag, field.name, **settings)


@click.group()
@click.version_option(seaway.__version__, prog_name="seaway")
def main() -> None:
    """Seaway: realtime for Django."""


@main.command()
@click.argument("application")
@options()
def serve(application: str, **values: Any) -> None:
    """Serve APPLICATION, given as MODULE:ATTRIBUTE.

    SIGTERM and SIGINT stop it once everything begun is finished; SIGHUP replaces the workers by
    new ones, which load the application anew, without refusing a connection.
    """
    try:
        _serve(application, ServerConfig(**values))
    except ConfigurationError as error:
        if isinstance(error, StartupFailed) and error.details:
            click.echo(error.details, err=True)
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


main.add_command(layer)


@main.command("migrate-from-channels")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--write", is_flag=True, help="Rewrite the files; without it, only show how.")
def migrate_from_channels(path: Path, write: bool) -> None:
    """Move the project at PATH from Channels to Seaway: imports, settings, requirements.

    Nothing is changed that is not understood for certain; what is left is listed.
    """
    migrate(path, write=write, say=click.echo)


def _serve(application: str, config: ServerConfig) -> None:
    if sys.platform == "win32":
        # No sockets can be inherited there the way the supervisor does it.
        run(load(application), config)
        return
    from seaway.server.supervisor import Supervisor

    Supervisor(application, config).run()


if __name__ == "__main__":
    main()
