"""A chunk with old versions of files that changed since is damaged or gone: runs go on, what they make is whole, and
the older safesets that are hurt are named. Nobody has the old bytes any more, so nothing can send that chunk again.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, differences, restored
from tests.end_to_end.test_damage import flip_last_bit
from tests.end_to_end.test_lost_disk import with_one_disk
from tests.independent.reader.record import DATA
from tests.independent.reader.store import open_store
from tests.support.trees import OLD_NS

FILES = 40
LOOK_SECONDS = 60


def write(tree: Path, number: int, version: int) -> None:
    path = tree / f"file-{number:02}"
    path.write_bytes(random.Random(f"{number} {version}").randbytes(30_000))
    os.utime(path, ns=(1, OLD_NS))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(FILES):
        write(tree, number, 1)
    return tree


def prepare(site: Site, tree: Path, every: int = 3) -> Path:
    """Safesets 1 and 2, before the second of which every so many files changed: chunks of the first hold their old
    versions beside what both share. Returns a copy of what the tree was at first.
    """
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    shutil.copytree(tree, tree.with_name("first"))
    for number in range(0, FILES, every):
        write(tree, number, 2)
    site.backup("pc", "all")
    return tree.with_name("first")


def damage_first_chunk(site: Site) -> None:
    store = open_store(site.vault)
    path, place = min(
        ((path, place) for path, scan in store.scans.items() for place in scan.places if place.header.type == DATA),
        key=lambda found: found[1].offset,
    )
    flip_last_bit(path, place.offset + place.header.length - 1)


def require_whole(site: Site, tree: Path, number: int) -> None:
    target = site.directory / f"restored {number}"
    site.restore("pc", "all", target, "--safeset", number)
    assert differences(tree, restored(target, tree)) == []


def listed_as_damaged(site: Site, of: int) -> list[int]:
    """The numbers, once the vault has come to an end of looking; both programs say the same."""
    deadline = time.monotonic() + LOOK_SECONDS
    while time.monotonic() < deadline:
        listed = site.run_administrator("acme", "safeset", "list", "pc", "all").last
        if not any(one["in_doubt"] for one in listed):
            break
    else:
        raise AssertionError(listed)
    assert [one["number"] for one in listed] == list(range(1, of + 1))
    assert site.run_agent("pc", "safesets", "all").last == listed
    return [one["number"] for one in listed if one["damaged"]]


def named_by_check(site: Site) -> list[str]:
    """The safesets that have a finding of their own."""
    site.stop()
    checked = site.check()
    assert checked.exit_code == 9
    places = {one["place"] for one in checked.last["findings"] if one["place"].startswith("account ")}
    return sorted(place.rpartition(", ")[2] for place in places)


def test_damage_in_old_versions_hurts_old_safesets_only(site: Site, tree: Path) -> None:
    site.create_account("acme")
    first = prepare(site, tree)
    damage_first_chunk(site)
    password = site.password("all")
    words = ("restore", "all", "--safeset", 1, "--target", site.directory / "hurt", "--password-file", password)
    assert site.run_agent("pc", *words).exit_code == 9  # so the vault has met it
    assert site.backup("pc", "all")["safeset"] == 3
    assert listed_as_damaged(site, 3) == [1, 2]
    require_whole(site, tree, 3)
    write(tree, 1, 3)
    again = site.backup("pc", "all")
    assert (again["safeset"], again["bytes_read"]) == (4, 30_000)  # runs build on the whole one again
    require_whole(site, tree, 4)
    assert len([line for line in differences(first, restored(site.directory / "hurt", tree)) if line[:2] == ">f"]) > 0
    assert listed_as_damaged(site, 4) == [1, 2]
    assert site.run_operator("status").last["safesets_damaged"] == 2
    said = [line["problem"] for line in site.log_lines() if line["event"] == "safesets damaged"]
    assert said == ["what they use is damaged or lost: safesets 1, 2"]
    site.stop()
    site.start()
    assert listed_as_damaged(site, 4) == [1, 2]
    assert named_by_check(site) == ["safeset 1", "safeset 2"]


def test_a_restore_of_a_damaged_safeset_says_so_before_it_begins(site: Site, tree: Path) -> None:
    site.create_account("acme")
    prepare(site, tree)
    damage_first_chunk(site)
    words = ("--safeset", 1, "--target", site.directory / "hurt", "--password-file", site.password("all"))
    first = site.run_agent("pc", "restore", "all", *words)
    assert (first.exit_code, "is damaged" in first.error.splitlines()[0]) == (9, False)
    assert listed_as_damaged(site, 2) == [1, 2]
    again = site.run_agent("pc", "restore", "all", *words, "--overwrite", "always")
    assert again.exit_code == 9
    note, *others = again.error.splitlines()
    assert note == "note: the vault says that this safeset is damaged: what is lost is named, all else is restored"
    assert others == first.error.splitlines()


def test_damage_in_what_old_safesets_alone_use_costs_no_run_anything(site: Site, tree: Path) -> None:
    site.create_account("acme")
    prepare(site, tree, every=1)
    damage_first_chunk(site)
    password = site.password("all")
    words = ("restore", "all", "--safeset", 1, "--target", site.directory / "hurt", "--password-file", password)
    assert site.run_agent("pc", *words).exit_code == 9
    write(tree, 1, 3)
    again = site.backup("pc", "all")
    assert (again["safeset"], again["bytes_read"]) == (3, 30_000)
    require_whole(site, tree, 3)
    assert listed_as_damaged(site, 3) == [1]
    assert named_by_check(site) == ["safeset 1"]


def test_a_disk_with_old_versions_is_lost(tmp_path: Path, tree: Path) -> None:
    site = Site(tmp_path, disks=2)
    try:
        with_one_disk(site, 0, "acme")
        site.start()
        prepare(site, tree)
        site.stop()
        shutil.rmtree(site.disks[0])
        site.start()
        lost = site.run_operator("disk", "lost", "0", "--yes")
        assert [(hit["job"], hit["number"]) for hit in lost.last["hit"]] == [("all", 1), ("all", 2)]
        assert site.backup("pc", "all")["safeset"] == 3
        assert listed_as_damaged(site, 3) == [1, 2]
        require_whole(site, tree, 3)
        assert named_by_check(site) == ["safeset 1", "safeset 2"]
    finally:
        if site.daemon is not None:
            site.kill()
