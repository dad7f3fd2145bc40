"""A computer was in foreign hands for a while: its runs since then are distrusted, and the next one stores all anew."""

from __future__ import annotations

import os
from pathlib import Path

from tests.end_to_end.conftest import Site, differences, restored
from tests.support.trees import write_tree


def test_the_next_run_stores_anew_what_distrusted_runs_stored(site: Site, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", small_files=10)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    (tree / "of the second run").write_bytes(os.urandom(500_000))
    new = site.backup("pc", "all")["uploaded_bytes"]
    since = site.run_administrator("acme", "job", "show", "pc", "all").last["runs"][0]["begin"]
    words = ("acme", "computer", "distrust", "pc", "--since", since)

    shown = site.run_administrator(*words, "--dry-run").last
    assert (shown["runs"], [(one["number"], one["is_made"]) for one in shown["safesets"]]) == (1, [(2, True)])
    assert [one["distrusted"] for one in site.run_administrator("acme", "safeset", "list", "pc", "all").last] == [
        False,
        False,
    ]
    assert site.run_administrator(*words).last | {"dry_run": True} == shown
    site.kill()
    site.start()
    listed = site.run_administrator("acme", "safeset", "list", "pc", "all").last
    assert [one["distrusted"] for one in listed] == [False, True]

    again = site.backup("pc", "all")
    assert again["safeset"] == 3
    assert 500_000 < again["uploaded_bytes"] < 2 * new
    assert site.backup("pc", "all")["uploaded_bytes"] < 100_000
    for number in (1, 2, 3):
        site.restore("pc", "all", tmp_path / str(number), "--safeset", number)
    assert differences(tree, restored(tmp_path / "2", tree)) == []
    assert differences(tree, restored(tmp_path / "3", tree)) == []
    site.stop()
    assert site.check().exit_code == 0


def test_a_time_that_is_none_is_refused(site: Site) -> None:
    site.create_account("acme")
    done = site.run_administrator("acme", "computer", "distrust", "pc", "--since", "yesterday")
    assert (done.exit_code, done.last["code"]) == (2, "usage")
    missing = site.run_administrator("acme", "computer", "distrust", "pc", "--since", "2026-11-20")
    assert (missing.exit_code, missing.last["code"]) == (4, "not_found")
