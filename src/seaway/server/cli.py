"""The command line: ``seaway serve module:application`` and ``seaway layer check``.

What lives here: options derived from `ServerConfig`, and errors as one line.
What must not: an option of its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import os
import sys
import typing
from collections.abc import Callable
from typing import Any

import click

import seaway
from seaway.exceptions import ConfigurationError
from seaway.layers.checkup import Finding, check_layer
from seaway.layers.engines import make_layer
from seaway.server.application import StartupFailed, load
from seaway.server.config import ENVIRONMENT_PREFIX, ServerConfig
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


@main.group()
def layer() -> None:
    """The message layer: what joins the processes."""


@layer.command()
@click.argument("url", required=False)
@click.option("--namespace", default=None, help="As the setting NAMESPACE.")
def check(url: str | None, namespace: str | None) -> None:
    """Connect to the layer at URL, use all of it, measure, and say what is wrong.

    Without URL: the layer of the project that DJANGO_SETTINGS_MODULE names.
    """
    found = asyncio.run(_check(url, namespace))
    sys.exit(0 if found else 1)


async def _check(url: str | None, namespace: str | None) -> bool:
    def say(finding: Finding) -> None:
        mark = "ok   " if finding.well else "ERROR"
        click.echo(f"{mark} {finding.what:<9} {finding.seen}")

    if url is not None:
        name = namespace or "seaway"
        return await check_layer(lambda: make_layer(url, namespace=name, place=name), say)
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        click.echo(
            "Error: name a layer, as in: seaway layer check redis://localhost:6379", err=True
        )
        click.echo(
            "or a project: DJANGO_SETTINGS_MODULE=mysite.settings seaway layer check", err=True
        )
        return False
    # By name: the server knows nothing of Django, and this is the one place that asks a project.
    sys.path.insert(0, "")
    try:
        conf = importlib.import_module("seaway.conf")
        return await check_layer(conf.make_layer_of_settings, say)
    except (ImportError, ConfigurationError) as error:
        click.echo(f"Error: {error}", err=True)
        return False


def _serve(application: str, config: ServerConfig) -> None:
    if sys.platform == "win32":
        # No sockets can be inherited there the way the supervisor does it.
        run(load(application), config)
        return
    from seaway.server.supervisor import Supervisor

    Supervisor(application, config).run()


if __name__ == "__main__":
    main()
