"""A damaged index or catalog at a start: set aside, told, and made again with the same rows."""

import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.errors import Damaged, Internal, Unavailable
from vaultd.operations.check import check_vault
from vaultd.operations.vault import close_vault, open_vault
from vaultd.store.disk_door import SystemDoor

PAGE = 4096
NAMES = ("index", "catalog")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2 // PAGE * PAGE]


def empty_pages(data: bytes) -> bytes:
    return data[: 2 * PAGE] + bytes(len(data) - 2 * PAGE)


def garbage(data: bytes) -> bytes:
    return data[: 2 * PAGE] + random.Random(5).randbytes(len(data) - 2 * PAGE)


def no_begin(data: bytes) -> bytes:
    return b"nonsense" * (len(data) // 8)


def flip_row(data: bytes) -> bytes:
    """A bit of the value of `meta.position`, which is in every state that the file holds."""
    changed = bytearray(data)
    at = -1
    while (at := changed.find(b"position", at + 1)) >= 0:
        changed[at + 12] ^= 4
    return bytes(changed)


def filled(site: Site) -> tuple[BackedUp, list[bytes]]:
    """A job, and the ids of its records."""
    backed_up = site.ready()
    records = [backed_up.sealer.record(DATA, os.urandom(600)) for _ in range(20)]
    site.upload(backed_up, *records)
    return backed_up, [record[40:72] for record in records]


def rows(site: Site) -> list[object]:
    with site.vault.catalog.read() as view:
        return list(view.rows())


def places(site: Site, backed_up: BackedUp, ids: list[bytes]) -> list[tuple[int, int, int] | None]:
    found = site.vault.store.locate(backed_up.sealer.keyring_id, ids)
    return [place and (place.container, place.offset, place.length) for place in found]


def change(site: Site, name: str, how: Callable[[bytes], bytes]) -> bytes:
    """Of a vault that stands still; the bytes that are there then."""
    path = site.config.directory / name / "data.mdb"
    changed = how(path.read_bytes())
    path.write_bytes(changed)
    return changed


def start(site: Site) -> list[tuple[str, str]]:
    """(place below the vault, sentence) of what the start found."""
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    below = str(site.config.directory) + "/"
    return [(finding.place.removeprefix(below), finding.sentence) for finding in site.vault.recovery.findings]


@pytest.mark.parametrize("how", [cut, empty_pages, garbage, no_begin, flip_row])
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_image_is_set_aside_and_made_again(site: Site, name: str, how: Callable[[bytes], bytes]) -> None:
    backed_up, ids = filled(site)
    expected = rows(site), places(site, backed_up, ids)
    assert None not in expected[1]
    close_vault(site.vault)
    damaged = change(site, name, how)
    ((place, sentence),) = start(site)
    assert (place, "was damaged" in sentence) == (name, True)
    assert sentence.endswith(f"it was renamed to {name}.damaged, and is made again")
    assert (rows(site), places(site, backed_up, ids)) == expected
    assert (site.config.directory / f"{name}.damaged" / "data.mdb").read_bytes() == damaged
    close_vault(site.vault)
    told = start(site)
    assert told == [
        (f"{name}.damaged", "a damaged image was set aside here; move it away when `vaultd check` finds nothing")
    ]
    assert (rows(site), places(site, backed_up, ids)) == expected


def test_both_at_once_come_back(site: Site) -> None:
    backed_up, ids = filled(site)
    expected = rows(site), places(site, backed_up, ids)
    close_vault(site.vault)
    for name in NAMES:
        change(site, name, cut)
    assert [place for place, _ in start(site)] == [*NAMES]
    assert (rows(site), places(site, backed_up, ids)) == expected


def test_the_first_that_was_set_aside_stays_and_of_the_others_the_newest(site: Site) -> None:
    """An index made again lacks what only the first knew; more than two would fill the disk at a disk that fails."""
    close_vault(site.vault)
    changed = []
    for how in (cut, garbage, empty_pages):
        changed.append(change(site, "index", how))
        start(site)
        close_vault(site.vault)
    directory = site.config.directory
    kept = {path.name: (path / "data.mdb").read_bytes() for path in directory.glob("index.*")}
    assert kept == {"index.damaged": changed[0], "index.damaged.newest": changed[2]}
    site.vault = open_vault(site.config, site.clock, SystemDoor())


def test_an_index_on_another_disk_is_set_aside_with_its_link(site: Site, tmp_path: Path) -> None:
    """Its operator made DIR/index a link: the file cannot be renamed from one disk to another."""
    backed_up, ids = filled(site)
    expected = places(site, backed_up, ids)
    index = site.config.directory / "index"
    close_vault(site.vault)
    for number in range(3):
        index.rename(tmp_path / f"elsewhere-{number}")
        index.symlink_to(tmp_path / f"elsewhere-{number}")
        change(site, "index", cut)
        assert start(site)[0][0] == ("index" if number < 1 else "index.damaged")
        assert places(site, backed_up, ids) == expected
        assert not index.is_symlink()
        close_vault(site.vault)
    kept = {path.name: path.resolve() for path in site.config.directory.glob("index.*")}
    assert kept == {"index.damaged": tmp_path / "elsewhere-0", "index.damaged.newest": tmp_path / "elsewhere-2"}
    start(site)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_names_a_damaged_image_and_leaves_it(site: Site, name: str) -> None:
    filled(site)
    close_vault(site.vault)
    damaged = change(site, name, cut)
    report = check_vault(site.config, SystemDoor(), read_data=False)
    assert report.is_damaged
    path = site.config.directory / name
    (finding,) = [one for one in report.findings if one.place == str(path)]
    assert finding.sentence.startswith("it is damaged: ")
    assert finding.sentence.endswith("start vaultd, which sets it aside and makes it again")
    assert (path / "data.mdb").read_bytes() == damaged
    start(site)
    close_vault(site.vault)
    assert not check_vault(site.config, SystemDoor(), read_data=True).is_damaged
    start(site)


@pytest.mark.usefixtures("started_looks")
@pytest.mark.parametrize("name", NAMES)
def test_what_could_not_be_looked_at_stops_the_start_and_stays(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_vault(site.vault)
    damaged = change(site, name, cut)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(Unavailable, match="could not be looked through"):
            open_vault(site.config, site.clock, SystemDoor())
    assert (site.config.directory / name / "data.mdb").read_bytes() == damaged
    assert not list(site.config.directory.glob("*.damaged*"))
    start(site)


@pytest.mark.parametrize(
    "lose", [Path.unlink, lambda path: path.write_bytes(b"x" * 9000), lambda path: os.truncate(path, 0)]
)
@pytest.mark.parametrize("name", NAMES)
def test_a_lost_or_damaged_lock_file_costs_nothing(site: Site, name: str, lose: Callable[[Path], object]) -> None:
    backed_up, ids = filled(site)
    expected = rows(site), places(site, backed_up, ids)
    close_vault(site.vault)
    lose(site.config.directory / name / "lock.mdb")
    assert start(site) == []
    assert (rows(site), places(site, backed_up, ids)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_data_file_comes_back(site: Site, name: str) -> None:
    backed_up, ids = filled(site)
    expected = rows(site), places(site, backed_up, ids)
    close_vault(site.vault)
    (site.config.directory / name / "data.mdb").unlink()
    start(site)
    assert (rows(site), places(site, backed_up, ids)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_an_older_copy_catches_up(site: Site, tmp_path: Path, name: str) -> None:
    """As after a restore of DIR from a copy: it knows neither the later records nor that a record was sent since."""
    backed_up, ids = filled(site)
    close_vault(site.vault)
    shutil.copytree(site.config.directory / name, tmp_path / "older")
    start(site)
    later = [backed_up.sealer.record(DATA, os.urandom(600)) for _ in range(20)]
    site.upload(backed_up, *later)
    site.administrator("later")
    ids += [record[40:72] for record in later]
    expected = rows(site), places(site, backed_up, ids)
    assert None not in expected[1]
    close_vault(site.vault)
    shutil.rmtree(site.config.directory / name)
    shutil.copytree(tmp_path / "older", site.config.directory / name)
    assert start(site) == []
    assert (rows(site), places(site, backed_up, ids)) == expected
    assert site.vault.store.missing(backed_up.sealer.keyring_id, [b"n" * 32, *ids]) == [True] + [False] * len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_newer_copy_than_the_journal_is_refused_and_left(site: Site, tmp_path: Path, name: str) -> None:
    """Journal and the other image came from an older copy: what this one has applied was acknowledged."""
    filled(site)
    directory = site.config.directory
    close_vault(site.vault)
    shutil.copytree(directory, tmp_path / "older")
    start(site)
    site.administrator("later")
    close_vault(site.vault)
    newer = (directory / name / "data.mdb").read_bytes()
    for path in directory.iterdir():
        if path.is_dir() and path.name != name:
            shutil.rmtree(path)
            shutil.copytree(tmp_path / "older" / path.name, path)
    with pytest.raises((Internal, Damaged), match="was acknowledged|has applied entry"):
        open_vault(site.config, site.clock, SystemDoor())
    assert (directory / name / "data.mdb").read_bytes() == newer
    shutil.rmtree(directory / name)
    shutil.copytree(tmp_path / "older" / name, directory / name)
    start(site)


@pytest.mark.parametrize("starts", [1, 3])
def test_what_the_damaged_images_have_applied_the_journal_must_still_hold(site: Site, starts: int) -> None:
    """Both images and the end of both journals were hit by one event: nothing that was acknowledged is cut for torn."""
    site.administrator("last")
    expected = rows(site)
    number = site.vault.store.position.number
    close_vault(site.vault)
    for name, table in (("index", b"containers"), ("catalog", b"safesets")):
        change(site, name, lambda data, table=table: data.replace(table, table[:-1] + b"!"))
    journals = sorted(site.config.directory.glob("disk-*/journal/*"))
    whole = {path: path.read_bytes() for path in journals}
    for path, data in whole.items():
        path.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    torn = {path: path.read_bytes() for path in journals}
    for _ in range(starts):
        with pytest.raises(Internal, match=rf"entry {number} was acknowledged \(the catalog has applied it\)"):
            open_vault(site.config, site.clock, SystemDoor())
        assert {path: path.read_bytes() for path in journals} == torn
    for path, data in whole.items():
        path.write_bytes(data)
    start(site)
    assert rows(site) == expected
