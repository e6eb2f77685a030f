from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import PluginError
from engine.plugin import Destination
from engine.registry import Registry

BUILTIN = {
    "destinations": {
        "log": "engine.plugin:Destination",
        "none": "engine.gone:Destination",
        "wrong": "engine.errors:Problem",
    },
    "sources": {},
    "functions": {"nested": "engine.plugin:Destination.bounds"},
}
PLUGIN = """\
from engine.plugin import Destination, EventType


class Pigeon(Destination):
    event_types = {"custom": EventType(label="Letter")}


class Post:
    routes = (("POST", "/letters"),)


def broken():
    raise RuntimeError("no feathers")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Installs a distribution of pigeons with the given entry points."""

    def install(points: str) -> None:
        (tmp_path / "pigeon_plugin.py").write_text(PLUGIN)
        (tmp_path / "pigeon_needy.py").write_text("import carrier.air\n")
        folder = tmp_path / "headrace_pigeon-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: headrace-pigeon\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def test_a_builtin_is_imported_by_its_name() -> None:
    assert Registry(BUILTIN, entry_points=False).destination("log") is Destination
    assert Registry(BUILTIN, entry_points=False).function("nested") is Destination.bounds


def test_an_installed_plugin_is_found_beside_the_builtin_ones(install) -> None:
    install("[headrace.destinations]\npigeon = pigeon_plugin:Pigeon\n[headrace.sources]\npost = pigeon_plugin:Post\n")
    registry = Registry(BUILTIN)

    assert registry.names("destinations") == ["log", "none", "pigeon", "wrong"]
    assert registry.destination("pigeon").__name__ == "Pigeon"
    assert [source.routes for source in registry.sources()] == [(("POST", "/letters"),)]
    assert Registry(BUILTIN, entry_points=False).names("destinations") == ["log", "none", "wrong"]


def test_two_plugins_of_one_name_are_told_with_who_brings_them(install) -> None:
    install("[headrace.destinations]\nlog = pigeon_plugin:Pigeon\n")

    with pytest.raises(PluginError) as caught:
        Registry(BUILTIN)

    assert str(caught.value) == (
        "two destinations are called 'log': the built-in engine.plugin:Destination "
        "and pigeon_plugin:Pigeon of headrace-pigeon\n"
        "uninstall headrace-pigeon, or ask its author for another name"
    )


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("lgo", "there is no destination type 'lgo'\ndid you mean 'log'? (one of: log, none, wrong)"),
        ("braze", "there is no destination type 'braze'\none of: log, none, wrong"),
        (
            "none",
            (
                "the destination type 'none' cannot be loaded: ModuleNotFoundError: No module named 'engine.gone'\n"
                "the built-in engine.gone:Destination; reinstall headrace"
            ),
        ),
        (
            "wrong",
            "the built-in engine.errors:Problem is not a destination\nmake it a subclass of engine.plugin.Destination",
        ),
    ],
)
def test_a_destination_that_cannot_be_had_is_told(name: str, error: str) -> None:
    with pytest.raises(PluginError) as caught:
        Registry(BUILTIN, entry_points=False).destination(name)

    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("points", "error"),
    [
        (
            "pigeon_plugin:Dove",
            (
                "AttributeError: module 'pigeon_plugin' has no attribute 'Dove'\n"
                "pigeon_plugin:Dove of headrace-pigeon; reinstall headrace-pigeon or ask its author"
            ),
        ),
        (
            "pigeon_plugin:broken",
            (
                "RuntimeError: no feathers\n"
                "pigeon_plugin:broken of headrace-pigeon; reinstall headrace-pigeon or ask its author"
            ),
        ),
    ],
)
def test_a_broken_plugin_is_told_with_its_module_and_its_owner(install, points: str, error: str) -> None:
    install(f"[headrace.sources]\npost = {points}\n")

    with pytest.raises(PluginError) as caught:
        Registry(BUILTIN).sources()

    assert str(caught.value) == f"the source type 'post' cannot be loaded: {error}"


def test_a_plugin_whose_driver_is_not_installed_says_which(install) -> None:
    install("[headrace.destinations]\npigeon = pigeon_needy:Pigeon\n")

    with pytest.raises(PluginError) as caught:
        Registry(BUILTIN).destination("pigeon")

    assert str(caught.value) == (
        "the destination type 'pigeon' cannot be loaded: ModuleNotFoundError: No module named 'carrier'\n"
        "pip install carrier; pigeon_needy:Pigeon of headrace-pigeon needs it"
    )
