"""``seaway layer check``: the command line of `seaway.layers.checkup`.

What lives here: which layer is meant, and how findings are printed. What must not: the findings.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import sys

import click

from seaway.exceptions import ConfigurationError
from seaway.layers.checkup import Finding, check_layer
from seaway.layers.engines import LEGAL_NAMESPACE, make_layer


@click.group()
def layer() -> None:
    """The message layer: what joins the processes."""


@layer.command()
@click.argument("url", required=False)
@click.option("--namespace", default=None, help="As the setting NAMESPACE.")
def check(url: str | None, namespace: str | None) -> None:
    """Connect to the layer at URL, use all of it, measure, and say what is wrong.

    Without URL: the layer of the project that DJANGO_SETTINGS_MODULE names.
    """
    if namespace is not None and not re.match(LEGAL_NAMESPACE, namespace):
        raise click.BadParameter(
            "has 1 to 40 characters of a-z, 0-9, _ and -, and begins with a letter or a digit.",
            param_hint="--namespace",
        )
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
