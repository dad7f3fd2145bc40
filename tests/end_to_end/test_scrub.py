"""Damage that nobody has read is found by a scrub, named, stored anew by the next run, and left to older safesets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, differences, restored
from tests.end_to_end.test_damage import flip_last_bit
from tests.independent.reader.record import DATA
from tests.independent.reader.store import open_store

SIZE = 2_000_000  # of each file: chunks of its own


@pytest.fixture
def tree(site: Site, tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("kept", "changed", "gone"):
        (tree / name).write_bytes(os.urandom(SIZE))
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    return tree


def flip_contents(site: Site) -> int:
    """One bit in every chunk of content, while the daemon runs; how many there are."""
    store = open_store(site.vault)
    places = [(path, place) for path, scan in store.scans.items() for place in scan.places]
    found = [(path, place) for path, place in places if place.header.type == DATA]
    for path, place in found:
        flip_last_bit(path, place.offset + place.header.length - 1)
    return len(found)


def test_a_whole_vault_is_read_and_nothing_found(site: Site, tree: Path) -> None:
    done = site.run_operator("scrub", "--wait")
    assert (done.exit_code, done.last["records_damaged"], done.last["safesets_hit"]) == (0, 0, 0)
    assert done.last["bytes"] == sum(path.stat().st_size for path in site.vault.rglob("*.container"))
    status = site.run_operator("status").last["scrub"]
    assert (status["going"] is None or not status["going"]["is_asked"], status["last"]["records_damaged"]) == (True, 0)
    assert status["last"]["ended"] is not None


def test_damage_is_found_named_and_stored_anew(site: Site, tree: Path, tmp_path: Path) -> None:
    hurt = flip_contents(site)
    found = site.run_operator("scrub", "--wait")
    assert (found.exit_code, found.last["records_damaged"], found.last["in_doubt"]) == (9, hurt, False)
    (hit,) = [line for line in found.lines if line["type"] == "hit"]
    assert {key: hit[key] for key in ("account", "computer", "job", "number", "records")} == {
        "account": "acme", "computer": "pc", "job": "all", "number": 1, "records": hurt,
    }  # fmt: skip
    (tree / "changed").write_bytes(os.urandom(SIZE))
    (tree / "gone").unlink()
    run = site.run_agent("pc", "backup", "all")
    assert (run.exit_code, run.last["safeset"], run.last["files_hit"], run.last["stored_anew"]) == (0, 2, 3, 1)
    told = {(line["type"], Path(line["path"]).name) for line in run.lines if line["type"].endswith("stored_anew")}
    assert told == {("stored_anew", "kept"), ("not_stored_anew", "changed"), ("not_stored_anew", "gone")}
    site.restore("pc", "all", tmp_path / "new")
    assert differences(tree, restored(tmp_path / "new", tree)) == []
    again = site.run_operator("scrub", "--wait")
    assert (again.exit_code, again.last["records_damaged"] + again.last["records_unused"]) == (9, hurt)
    assert [line["number"] for line in again.lines if line["type"] == "hit"] == [1]
    site.stop()
    checked = site.check(read_data=True)
    assert checked.exit_code == 9
    named = {finding["place"].split()[-1] for finding in checked.last["findings"] if " safeset " in finding["place"]}
    assert named == {"1"}


def test_what_was_all_stored_anew_hits_nothing_any_more(site: Site, tree: Path) -> None:
    hurt = flip_contents(site)
    assert site.run_operator("scrub", "--wait").exit_code == 9
    assert site.backup("pc", "all")["stored_anew"] == 3
    healed = site.run_operator("scrub", "--wait")
    assert (healed.exit_code, healed.last["records_damaged"], healed.last["records_unused"]) == (0, 0, hurt)
    assert healed.last["safesets_hit"] == 0
    site.stop()
    checked = site.check(read_data=True)
    assert checked.exit_code == 0
    assert {finding["severity"] for finding in checked.last["findings"]} == {"note"}
