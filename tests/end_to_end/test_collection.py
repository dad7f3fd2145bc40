"""Collecting with the real programs: what goes, what a restore of the rest brings, and what people are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site, differences, restored, run_program
from tests.independent.reader.damage import Damage
from tests.independent.reader.store import open_store
from tests.support.trees import write_tree

MIB = 1 << 20


@pytest.fixture
def office(site: Site, tmp_path: Path) -> Site:
    """Three safesets; what only the first used fills the first container."""
    site.stop()
    site.settings |= {"VAULTD_CONTAINER_BYTES": str(16 * MIB), "VAULTD_UNDELETE_SECONDS": "0"}
    site.settings |= {"VAULTD_COLLECT_PERCENT": "100"}
    site.start()
    tree = write_tree(tmp_path / "tree", small_files=20)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    (tree / "large").write_bytes(os.urandom(24 * MIB))
    site.backup("pc", "all")
    (tree / "large").write_bytes(os.urandom(MIB))
    site.backup("pc", "all")
    (tree / "small").write_text("new")
    site.backup("pc", "all")
    return site


def purge_first(office: Site) -> None:
    """The vault goes through its jobs when it starts."""
    assert office.run_administrator("acme", "safeset", "delete", "pc", "all", "1").exit_code == 0
    office.stop()
    office.start()


def test_space_comes_back_and_the_rest_restores(office: Site, tmp_path: Path) -> None:
    before = office.run_operator("collect")
    assert (before.exit_code, before.last["type"], before.last["records_dropped"]) == (0, "summary", 0)
    purge_first(office)
    tried = office.run_operator("collect", "--dry-run")
    assert (tried.exit_code, tried.last["is_trial"]) == (0, True)
    stored = office.run_operator("status").last["record_bytes"]
    done = office.run_operator("collect")
    assert (done.exit_code, done.last["problem"], done.last["keyrings_left"]) == (0, "", 0)
    assert done.last["bytes_dropped"] == tried.last["bytes_dropped"] > 24 * MIB
    assert done.last["containers_moved"] == tried.last["containers"] >= 1
    left = office.run_operator("status").last["record_bytes"]
    given_back = stored - left
    assert 14 * MIB < given_back <= done.last["bytes_given_back"] < given_back + MIB  # padding of what was moved
    office.restore("pc", "all", tmp_path / "back")
    assert differences(tmp_path / "tree", restored(tmp_path / "back", tmp_path / "tree")) == []
    office.stop()
    assert office.check().exit_code == 0
    store = open_store(office.vault)
    assert (len(store.dropped), len(store.moved)) == (done.last["records_dropped"], done.last["containers_moved"])
    for keyring, record_id in store.dropped.values():
        with pytest.raises(Damage):
            store.record(keyring, record_id)
    assert run_program("vaultd", "rebuild", office.vault).exit_code == 0
    office.start()
    office.restore("pc", "all", tmp_path / "again", "--safeset", 2)
    office.backup("pc", "all")
    office.stop()
    assert office.check().exit_code == 0
