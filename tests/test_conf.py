"""The settings: defaults, mistakes, changes under test, and the layer that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from seaway import conf
from seaway.conf import close_layer_home, layer_home, problems, reference, seaway_settings
from seaway.exceptions import ConfigurationError
from seaway.layers.base import Layer


async def described(layer: Layer) -> str:
    return layer.describe()


def test_defaults() -> None:
    with override_settings(SEAWAY={}):
        options = seaway_settings()
    assert options == conf.Settings()
    assert (options.LAYER, options.PATH, options.ALLOWED_ORIGINS) == ("local://", "/seaway/", None)
    assert (options.MAX_JOINS, options.MAX_REQUESTS, options.THREADS) == (100, 64, 8)
    assert (options.MAX_EVENT_BYTES, options.PING_SECONDS) == (1024 * 1024, 25.0)


def test_an_option_is_what_the_setting_says_while_it_says_so() -> None:
    assert seaway_settings().MAX_JOINS == 100
    with override_settings(SEAWAY={"MAX_JOINS": 3, "ALLOWED_ORIGINS": ("https://a.example",)}):
        assert seaway_settings().MAX_JOINS == 3
        assert seaway_settings().ALLOWED_ORIGINS == ["https://a.example"]
    assert seaway_settings().MAX_JOINS == 100


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"LAYR": "x"}, "SEAWAY has no option 'LAYR'. Did you mean 'LAYER'?"),
        ({"max_joins": 1}, "SEAWAY has no option 'max_joins'. Did you mean 'MAX_JOINS'?"),
        ({"zzz": 1}, "Known: LAYER, PATH"),
        ({7: 1}, "SEAWAY has no option 7."),
        ({"MAX_JOINS": "3"}, "SEAWAY['MAX_JOINS'] is '3': Expected `int`, got `str`."),
        ({"MAX_JOINS": True}, "Expected `int`, got `bool`"),
        ({"MAX_JOINS": 0}, "Expected `int` >= 1"),
        ({"PING_SECONDS": 0}, "Expected `float` > 0"),
        ({"PATH": "seaway"}, "it has to start and end with a slash"),
        ({"PATH": "/seaway"}, "it has to start and end with a slash"),
        ({"PATH": None}, "Expected `str`, got `null`"),
        ({"ALLOWED_ORIGINS": "https://a.example"}, "Expected `array | null`, got `str`"),
        ([], "SEAWAY has to be a dict, not list."),
        (None, "SEAWAY has to be a dict, not NoneType."),
    ],
)
def test_a_mistake_is_named_and_no_option_can_be_used(raw: Any, words: str) -> None:
    with override_settings(SEAWAY=raw), pytest.raises(ConfigurationError) as caught:
        seaway_settings()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_found_at_once() -> None:
    found = problems({"LAYR": 1, "PATH": "x", "THREADS": -1, "MAX_JOINS": 5})
    assert [problem.key for problem in found] == ["LAYR", "PATH", "THREADS"]


@pytest.mark.parametrize("path", ["/", "/seaway/", "/a/b-c/"])
def test_a_path_starts_and_ends_with_a_slash(path: str) -> None:
    assert problems({"PATH": path}) == []


def test_every_option_is_documented() -> None:
    options = reference()
    assert [option.name for option in options] == list(conf.Settings.__struct_fields__)
    assert all(len(option.text) > 30 and option.type for option in options)
    assert options[0].type == "str"
    assert options[0].default == "local://"
    types = {"str", "list[str]", "list[str] | None", "int", "float"}
    assert {option.type for option in options} == types


@pytest.fixture
def no_home() -> Any:
    close_layer_home()
    yield
    close_layer_home()


@pytest.mark.usefixtures("no_home")
class TestLayerHome:
    def test_there_is_one_until_the_layer_changes(self) -> None:
        home = layer_home()
        assert layer_home() is home
        with override_settings(SEAWAY={"LAYER": "memory://", "MAX_JOINS": 2}):
            assert layer_home() is home
        with override_settings(SEAWAY={"LAYER": "memory://", "MAX_EVENT_BYTES": 300}):
            assert layer_home() is not home

    def test_its_layer_is_the_one_of_the_setting(self) -> None:
        with override_settings(SEAWAY={"LAYER": "memory://", "MAX_EVENT_BYTES": 300}):
            assert "memory" in layer_home().run(described)
            assert layer_home().layer.max_data == 300

    def test_an_unknown_engine_is_the_operators_fault(self) -> None:
        with (
            override_settings(SEAWAY={"LAYER": "rediss-typo://x"}),
            pytest.raises(ConfigurationError, match="rediss-typo"),
        ):
            layer_home().run(described)

    def test_wrong_settings_make_no_home(self) -> None:
        with override_settings(SEAWAY={"LAYR": "memory://"}), pytest.raises(ConfigurationError):
            layer_home()


class TestNamespace:
    def test_it_is_the_same_for_every_process_of_a_project(self) -> None:
        assert conf.place() == conf.place()
        assert len(conf.place()) == 16

    def test_another_directory_is_another_project(self, tmp_path: Path) -> None:
        with override_settings(BASE_DIR=tmp_path):
            first = conf.place()
        with override_settings(BASE_DIR=str(tmp_path)):
            assert conf.place() == first
        with override_settings(BASE_DIR=tmp_path / "other"):
            assert conf.place() != first

    def test_two_ways_to_one_directory_are_one_project(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with override_settings(BASE_DIR=tmp_path / "real"):
            real = conf.place()
        with override_settings(BASE_DIR=tmp_path / "link"):
            assert conf.place() == real
