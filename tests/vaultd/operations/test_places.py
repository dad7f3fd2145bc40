"""No disk lies where the vault keeps index and catalog: settings that put one there are refused, and a directory that
holds one is neither renamed nor removed.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vaultd.operations.rich_site import Rich
from tests.vaultd.operations.test_rebuild import cut, lose, rebuild, require_serves
from vaultd.config import Config
from vaultd.errors import BadRequest, Conflict, VaultError
from vaultd.operations.check import check_vault
from vaultd.operations.rebuild import rebuild_vault
from vaultd.operations.vault import open_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.index.reading_progress import Reading, tell_nobody

DOOR = SystemDoor()
Put = Callable[[Path], Path]


def tree(directory: Path) -> dict[str, bytes]:
    """Every file and link below, but for the lock, by its path and with what is in it."""
    found = {}
    for path in directory.rglob("*"):
        if path.is_symlink():
            found[str(path)] = str(path.readlink()).encode()
        elif path.is_file() and path.name not in ("lock", "lock.mdb"):
            found[str(path)] = path.read_bytes()
    return found


def in_the_place_of(name: str) -> Put:
    def put(directory: Path) -> Path:
        (directory / "disk-2").rename(directory / name)
        return directory / name

    return put


def in_the_index(directory: Path) -> Path:
    (directory / "index").mkdir()
    (directory / "disk-2").rename(directory / "index/disk")
    return directory / "index/disk"


def behind_a_link(directory: Path) -> Path:
    (directory / "disk-2").rename(directory / "index")
    (directory / "link").symlink_to(directory / "index")
    return directory / "link"


def the_index_as_a_link(to: str) -> Put:
    def put(directory: Path) -> Path:
        (directory / "index").symlink_to(directory / to)
        return directory / "disk-2"

    return put


def beside_what_the_link_names(directory: Path) -> Path:
    (directory / "fast").mkdir()
    (directory / "index").symlink_to(directory / "fast")
    (directory / "disk-2").rename(directory / "fast.before-rebuild")
    return directory / "fast.before-rebuild"


PLACES = [
    *map(in_the_place_of, ("index", "index.rebuilding", "index.before-rebuild", "index.damaged")),
    *map(in_the_place_of, ("catalog.damaged.newest", "operator.context")),
    in_the_index,
    behind_a_link,
    the_index_as_a_link("disk-2"),
    the_index_as_a_link("disk-2/containers"),
    the_index_as_a_link("disk-2/journal/index"),
    beside_what_the_link_names,
]


def ways(config: Config, rich: Rich) -> list[Callable[[], object]]:
    return [
        lambda: open_vault(config, rich.site.clock, DOOR),
        lambda: check_vault(config, DOOR, read_data=False),
        lambda: rebuild_vault(config, rich.site.clock, DOOR, tell_nobody, index_only=False),
    ]


@pytest.mark.parametrize("put", PLACES)
def test_settings_that_name_such_a_disk_are_refused(rich: Rich, put: Put) -> None:
    lose("index")(rich)
    disk = put(rich.directory)
    config = dataclasses.replace(rich.site.config, disks=(rich.directory / "disk-1", disk))
    before = tree(rich.directory)
    for way in ways(config, rich):
        with pytest.raises(BadRequest, match=f"disk {disk} cannot lie there: the vault itself uses ") as refused:
            way()
        assert "moved there whole" in refused.value.hint
        assert tree(rich.directory) == before


def test_moved_elsewhere_whole_it_serves_again(rich: Rich) -> None:
    """As the hint says, with the files of LMDB in it that an earlier version put there."""
    second, index = rich.directory / "disk-2", rich.directory / "index"
    for path in index.iterdir():
        path.rename(second / path.name)
    index.rmdir()
    second.rename(index)
    config = dataclasses.replace(rich.site.config, disks=(rich.directory / "disk-1", index))
    with pytest.raises(BadRequest):
        open_vault(config, rich.site.clock, DOOR)
    index.rename(second)
    require_serves(rich)


def test_an_index_on_a_disk_of_its_own_choice_is_no_clash(rich: Rich) -> None:
    (rich.directory / "index").rename(rich.directory / "disk-2/index")
    (rich.directory / "index").symlink_to(rich.directory / "disk-2/index")
    rebuild(rich)
    require_serves(rich)


def hold(path: Path, name: str) -> None:
    path.mkdir(exist_ok=True)
    if name.startswith("disk."):
        (path / name).write_bytes(b"x")
    else:
        (path / name / "00").mkdir(parents=True)
        (path / name / "00/000000000001.container").write_bytes(b"x")


def refused(rich: Rich, way: Callable[[], object], place: Path) -> VaultError:
    before = tree(rich.directory)
    with pytest.raises(Conflict, match=f"{place} is not renamed or removed") as raised:
        way()
    assert tree(rich.directory) == before
    return raised.value


@pytest.mark.parametrize("name", ["disk.id", "disk.new", "containers", "journal", "erase-keys"])
@pytest.mark.parametrize("place", ["index", "index.rebuilding", "catalog.before-rebuild"])
def test_a_rebuild_touches_no_directory_that_holds_a_disk(rich: Rich, place: str, name: str) -> None:
    """Also one that the settings do not name."""
    hold(rich.directory / place, name)
    error = refused(rich, lambda: rebuild(rich), rich.directory / place)
    assert "where " in error.hint
    assert "move it elsewhere whole" in error.hint


@pytest.mark.parametrize("place", ["index", "catalog"])
def test_nor_one_that_came_to_hold_a_disk_while_it_read(rich: Rich, place: str) -> None:
    def tell(_: Reading) -> None:
        hold(rich.directory / place, "disk.id")

    with pytest.raises(Conflict, match=f"{place} is not renamed or removed"):
        rebuild_vault(rich.site.config, rich.site.clock, DOOR, tell, index_only=False)
    assert (rich.directory / place / "disk.id").read_bytes() == b"x"
    (rich.directory / place / "disk.id").unlink()
    require_serves(rich)


def test_a_start_sets_no_directory_aside_that_holds_a_disk(rich: Rich) -> None:
    cut("index")(rich)
    hold(rich.directory / "index", "disk.id")
    refused(rich, rich.open, rich.directory / "index")


def test_nor_removes_one_that_stands_where_the_newest_was_set_aside(rich: Rich) -> None:
    cut("index")(rich)
    for name in ("index.damaged", "index.damaged.newest"):
        hold(rich.directory / name, "containers")
    refused(rich, rich.open, rich.directory / "index.damaged.newest")
