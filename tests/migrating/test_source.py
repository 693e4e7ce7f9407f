"""What is replaced in a file, and what is left to a person."""

from __future__ import annotations

import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.migrating.names import PUBLIC
from seaway.migrating.source import migrate_source


@pytest.mark.parametrize(
    ("name", "module"),
    [(name, module) for module in sorted(PUBLIC) for name in sorted(PUBLIC[module])],
)
def test_every_public_name_is_where_the_table_says(name: str, module: str) -> None:
    assert hasattr(importlib.import_module(f"seaway.{module}"), name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from channels.consumer import *", "from seaway.consumer import *"),
        ("from channels.worker import Worker as W", "from seaway.worker import Worker as W"),
        ("from channels import layers", "from seaway import layers"),
        ("import channels.auth as a", "import seaway.auth as a"),
        (
            "import channels.layers\nx = channels.layers.get_channel_layer()",
            "import seaway.layers\nx = seaway.layers.get_channel_layer()",
        ),
        (
            "from channels.testing import (\n    HttpCommunicator,  # ü\n)",
            "from seaway.testing import (\n    HttpCommunicator,  # ü\n)",
        ),
        ("é = 1; from channels.worker import Worker", "é = 1; from seaway.worker import Worker"),
        ("INSTALLED_APPS = ['a', 'channels', 'b']", "INSTALLED_APPS = ['a', 'seaway', 'b']"),
        (
            "INSTALLED_APPS = [\n    'daphne',\n    'channels',  # it\n    'b',\n]\n",
            "INSTALLED_APPS = [\n    'seaway',\n    'b',\n]\n",
        ),
        ("INSTALLED_APPS += ['channels']", "INSTALLED_APPS += ['seaway']"),
        ("INSTALLED_APPS = ['seaway', 'channels', 'b']", "INSTALLED_APPS = ['seaway', 'b']"),
        ("B = 'channels_redis.core.RedisChannelLayer'", "B = 'seaway.layers.RedisChannelLayer'"),
        (
            "from channels.routing import *; from django.core.asgi import get_asgi_application",
            "from seaway.routing import *; from seaway.asgi import get_asgi_application",
        ),
    ],
)
def test_replaced(old: str, new: str) -> None:
    outcome = migrate_source(old)
    assert outcome.text == new
    assert outcome.remarks == []


@pytest.mark.parametrize(
    ("source", "remark"),
    [
        ("from channels.routing import route", "channels.routing.route is not a public name"),
        ("from channels.binding import x", "channels.binding.x is not a public name"),
        ("import channels.utils", "channels.utils is not a public module"),
        ("from channels_redis.core import RedisChannelLayer", "has no counterpart to import"),
        ("import daphne.server", "has no counterpart"),
        ("patch('channels.layers.get_channel_layer')", "may name what is 'seaway.layers"),
        ("x = 'daphne.management'", "without a counterpart"),
        ("import channels.auth\nchannels = 1", "means other things"),
        ("import channels.layers\nx = channels.layers.private", "private is not a public name"),
        ("from channels import (", "not Python that can be read"),
    ],
)
def test_left_to_a_person(source: str, remark: str) -> None:
    outcome = migrate_source(source)
    assert any(remark in each.text for each in outcome.remarks), outcome


@pytest.mark.parametrize(
    "source",
    [
        "from mychannels.auth import login",
        "from .channels import x",
        "channels = []\nchannels.append(1)",
        "APPS = ['channels']",
        "from django.core.asgi import get_asgi_application",
        "'see channels in the docs'",
    ],
)
def test_what_is_not_channels_is_not_touched(source: str) -> None:
    outcome = migrate_source(source)
    assert (outcome.text, outcome.remarks) == (None, [])


@given(st.text())
def test_no_text_raises(source: str) -> None:
    migrate_source(source)


@given(st.text(alphabet="channels.daphne_redis'\"()[],=\n #imporfé", max_size=80))
def test_what_was_migrated_needs_nothing_more(source: str) -> None:
    once = migrate_source(source)
    if once.text is not None:
        assert migrate_source(once.text).text is None
