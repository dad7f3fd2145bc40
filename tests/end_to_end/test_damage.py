"""A bit flips on the vault's disk: a restore names what it costs, and the next run brings the newest safeset back."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Done, Site, differences, restored
from tests.independent.reader.record import DATA, MANIFEST_BLOCK, ROOT_PAYLOAD
from tests.independent.reader.store import open_store
from tests.support.trees import write_tree

TYPES = {"chunk": DATA, "block": MANIFEST_BLOCK}
FILES = 3_000  # with long names, so that the manifest has several blocks: one takes half a MiB


@dataclass(frozen=True)
class Damaged:
    """A site with one safeset of a tree, and one record of it that is not what it was."""

    site: Site
    tree: Path
    tmp_path: Path
    what: str

    def restore(self, name: str, *words: object) -> Done:
        password = self.site.password("all")
        words = ("restore", "all", "--target", self.tmp_path / name, "--password-file", password, *words)
        return self.site.run_agent("pc", *words)

    def differences(self, name: str) -> list[str]:
        return differences(self.tree, restored(self.tmp_path / name, self.tree))

    def forget_cache(self) -> None:
        (cache,) = self.site.state("pc").rglob("cache*.sqlite")
        cache.unlink()


@pytest.fixture(params=["chunk", "block"])
def damaged(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Damaged:
    tree = write_tree(tmp_path / "tree", small_files=10)
    many = tree / "many"
    many.mkdir()
    for number in range(FILES):
        (many / f"{number:04d} {'a name that takes some room' * 9}").write_bytes(b"%d" % number)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    flip(site, TYPES[request.param])
    return Damaged(site, tree, tmp_path, request.param)


def flip(site: Site, kind: int) -> None:
    """One bit in the last byte of a record; not of the top block, without which nothing is listed."""
    store = open_store(site.vault)
    tops = {root.top_block for root in store.found.roots.values()}
    places = [(path, place) for path, scan in store.scans.items() for place in scan.places]
    found = [(path, place) for path, place in places if place.header.type == kind and place.header.id not in tops]
    assert len(found) > 1
    path, place = random.Random(kind).choice(found)
    flip_last_bit(path, place.offset + place.header.length - 1)


def flip_last_bit(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        last = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([last ^ 1]))


def require_named(damaged: Damaged, done: Done) -> None:
    """The damage has its exit code and its lines, and everything else is there."""
    assert done.exit_code == 9
    assert done.last["code"] == "damaged"
    lost = [line for line in damaged.differences("damaged") if line[:2] == ">f"]
    assert 0 < len(lost) < FILES
    assert "damage" in done.error


@pytest.mark.parametrize("cache", ["there", "lost"])
def test_the_next_run_heals_what_a_restore_found(damaged: Damaged, cache: str) -> None:
    require_named(damaged, damaged.restore("damaged"))
    if cache == "lost":
        damaged.forget_cache()
    assert damaged.site.backup("pc", "all")["safeset"] == 2
    assert damaged.restore("new").exit_code == 0
    assert damaged.differences("new") == []
    if damaged.what == "chunk":  # a block may hold the times of /tmp, which cannot be had again
        assert damaged.restore("old", "--safeset", "1").exit_code == 0
        assert damaged.differences("old") == []


def test_what_is_on_the_computer_no_more_stays_damaged_and_is_named(damaged: Damaged) -> None:
    """Later safesets are whole and build on each other again."""
    damaged.restore("damaged")
    site = damaged.site
    shutil.rmtree(damaged.tree)
    write_tree(damaged.tree, seed=7, small_files=10)
    assert site.backup("pc", "all")["safeset"] == 2
    assert damaged.restore("new").exit_code == 0
    assert damaged.differences("new") == []
    again = site.backup("pc", "all")
    assert again["bytes_read"] == again["remade_bytes"] < 1000  # of a bundle that few paths need any more
    assert site.backup("pc", "all")["bytes_read"] == 0
    assert damaged.restore("old", "--safeset", "1").exit_code == 9
    site.stop()
    findings = site.check(read_data=False).last["findings"]
    named = [finding["place"].split()[-2:] for finding in findings if " safeset " in finding["place"]]
    assert named == [["safeset", "1"]]


def test_what_a_check_found_is_known_after_a_start_without_an_index(damaged: Damaged) -> None:
    """As docs/operations.md says: a check changes nothing, a new index is made by reading everything."""
    site = damaged.site
    site.stop()
    assert site.check(read_data=True).exit_code == 9
    (site.vault / "index").rename(site.directory / "old index")
    site.start()
    assert site.backup("pc", "all")["safeset"] == 2
    assert damaged.restore("new").exit_code == 0
    assert damaged.differences("new") == []
    site.stop()
    checked = site.check(read_data=True)
    (hit,) = (found for found in checked.last["findings"] if Path(found["place"]).suffix == ".container")
    # A block with the times of directories above the tree is not made again: then the older safeset keeps the hit.
    healed = {"chunk": ["note"], "block": ["note", "damage"]}[damaged.what]
    assert hit["severity"] in healed
    assert checked.exit_code == (0 if hit["severity"] == "note" else 9)


@pytest.mark.parametrize("what", ["payload", "top companion"])
def test_a_record_that_a_restore_can_do_without_costs_no_file(site: Site, tmp_path: Path, what: str) -> None:
    """The signed root names the top block: names and the list for the vault are told to be lost, and all comes back."""
    tree = write_tree(tmp_path / "tree", small_files=10)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    store = open_store(site.vault)
    (root,) = store.found.roots.values()
    places = [(path, place) for path, scan in store.scans.items() for place in scan.places]
    for path, place in places:
        if (place.header.type == ROOT_PAYLOAD) if what == "payload" else (place.header.id == root.top_companion):
            flip_last_bit(path, place.offset + place.header.length - 1)
    hit = Damaged(site, tree, tmp_path, what)
    done = hit.restore("damaged")
    assert (done.exit_code, done.last["code"]) == (9, "damaged")
    assert f"the {what} of the safeset is damaged or out of reach" in done.error
    assert hit.differences("damaged") == []
    assert site.backup("pc", "all")["safeset"] == 2
    assert hit.restore("new").exit_code == 0
    assert hit.differences("new") == []
