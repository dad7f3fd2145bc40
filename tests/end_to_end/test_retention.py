"""Retention with the real programs: types, pins, a safeset that is deleted and comes back, a frozen job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Done, Site, restored, run_program
from tests.support.trees import write_tree


@pytest.fixture
def office(site: Site, tmp_path: Path) -> Site:
    """Three safesets of one day: 1 fills its slot, 2 and 3 are extra."""
    tree = write_tree(tmp_path / "tree", small_files=3)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    for number in range(3):
        (tree / "changed").write_text(str(number))
        site.backup("pc", "all")
    return site


def ask(office: Site, *words: str) -> Done:
    return office.run_administrator("acme", *words)


def listed(office: Site) -> dict[int, dict[str, Any]]:
    return {one["number"]: one for one in ask(office, "safeset", "list", "pc", "all").last}


def test_a_deleted_safeset_comes_back_and_restores(office: Site, tmp_path: Path) -> None:
    assert [one["retention"] for one in listed(office).values()] == ["daily", "extra", "extra"]
    deleted = ask(office, "safeset", "delete", "pc", "all", "1")
    assert (deleted.exit_code, sorted(listed(office))) == (0, [2, 3])
    words = ("restore", "all", "--safeset", 1, "--target", tmp_path / "gone", "--password-file", office.password("all"))
    gone = office.run_agent("pc", *words)
    assert (gone.exit_code, "is deleted" in gone.last["message"]) == (4, True)
    (shown,) = ask(office, "safeset", "ended", "pc", "all").last
    assert (shown["number"], shown["state"], shown["until"]) == (1, "deleted", deleted.last["until"])
    office.stop()
    assert run_program("vaultd", "rebuild", office.vault).exit_code == 0
    assert office.check().exit_code == 0
    office.start()
    assert sorted(listed(office)) == [2, 3]
    assert ask(office, "safeset", "undelete", "pc", "all", "1", "--reason", "it is needed").exit_code == 0
    assert [one["pinned"] for one in listed(office).values()] == ["it is needed", "", ""]
    office.restore("pc", "all", tmp_path / "back", "--safeset", 1)
    assert (restored(tmp_path / "back", tmp_path / "tree") / "changed").read_text() == "0"
    assert ask(office, "safeset", "delete", "pc", "all", "1").exit_code == 6
    assert ask(office, "safeset", "unpin", "pc", "all", "1").exit_code == 0
    assert ask(office, "safeset", "delete", "pc", "all", "3").exit_code == 6  # the newest


def test_types_are_set_confirmed_and_simulated(office: Site) -> None:
    made = ask(office, "retention", "set", "weekly", "--days", "90", "--copies", "12")
    assert (made.exit_code, made.last["days"], made.last["confirm"]) == (0, 90, None)
    shorter = ask(office, "retention", "set", "daily", "--days", "1", "--copies", "1")
    assert (shorter.last["older_days"], shorter.last["confirm"] is None) == (30, False)
    assert ask(office, "retention", "set", "daily", "--confirm").exit_code == 6
    assert ask(office, "retention", "set", "daily", "--days", "1").exit_code == 2
    assert ask(office, "retention", "limit", "keep-and-bill").exit_code == 0
    shown = ask(office, "retention", "list").last
    assert (shown["over_limit"], shown["confirm"]) == ("keep-and-bill", None)
    assert ask(office, "retention", "limit", "expire").last["confirm"] is not None
    assert ask(office, "retention", "limit", "--confirm").exit_code == 6
    assert [one["name"] for one in shown["types"]] == ["daily", "extra", "monthly", "weekly"]
    simulated = ask(office, "retention", "simulate", "pc", "all").last
    assert [(one["type"], one["reason"]) for one in simulated] == [
        ("daily", "days"), ("extra", "days"), ("extra", "newest")
    ]  # fmt: skip


def test_a_frozen_job_says_so(office: Site) -> None:
    assert ask(office, "job", "freeze", "pc", "all", "--reason", "strange files").exit_code == 0
    assert ask(office, "job", "show", "pc", "all").last["frozen"] == "strange files"
    assert ask(office, "safeset", "delete", "pc", "all", "1").exit_code == 6
    assert ask(office, "job", "unfreeze", "pc", "all").exit_code == 0
    assert ask(office, "job", "unfreeze", "pc", "all").exit_code == 6
    assert ask(office, "job", "show", "pc", "all").last["frozen"] == ""
