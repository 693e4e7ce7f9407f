"""Where a broker is found, and whom that place may be shared with: nobody."""

import os
import stat
from pathlib import Path

import pytest

from seaway.exceptions import ConfigurationError
from seaway.layers.local.place import SOCKET_PATH_BYTES, find_place


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_same_namespace_is_the_same_place(tmp_path: Path) -> None:
    assert find_place("shop", tmp_path) == find_place("shop", tmp_path)
    assert find_place("shop", tmp_path) != find_place("blog", tmp_path)


def test_the_default_does_not_depend_on_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = find_place("shop")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    assert find_place("shop") == inside
    assert f"seaway-{os.getuid()}" in str(inside.directory)


def test_the_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    place = find_place("shop", tmp_path / "not" / "there")
    place.prepare()
    place.prepare()
    assert mode(place.directory) == 0o700


def test_a_directory_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    place = find_place("shop", tmp_path)
    place.prepare()
    place.directory.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"open to other users \(mode 755\).*chmod 700"):
        place.prepare()


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    place = find_place("shop", tmp_path)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="not a symbolic link"):
        place.prepare()


def test_a_file_is_refused(tmp_path: Path) -> None:
    place = find_place("shop", tmp_path)
    place.directory.touch()
    with pytest.raises(ConfigurationError, match=r"cannot be used: File exists"):
        place.prepare()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    place = find_place("shop", tmp_path)
    place.prepare()
    os.chown(place.directory, 12345, -1)
    with pytest.raises(ConfigurationError, match="belongs to user 12345"):
        place.prepare()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_below_somebody_elses_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "theirs"
    root.mkdir()
    os.chown(root, 12345, -1)
    with pytest.raises(ConfigurationError, match="must belong to this user or to root"):
        find_place("shop", root).prepare()


def test_a_parent_in_which_anybody_may_write_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "open"
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(ConfigurationError, match="must not be writable by others"):
        find_place("shop", root).prepare()
    root.chmod(0o1777)  # as /tmp is: what is ours there stays ours
    find_place("shop", root).prepare()


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    place = find_place("shop", tmp_path / ("x" * SOCKET_PATH_BYTES))
    with pytest.raises(ConfigurationError, match="Name a shorter directory"):
        place.prepare()
