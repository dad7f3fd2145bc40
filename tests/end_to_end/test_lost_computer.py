"""The computer is gone: vault and password, or vault and recovery code, bring everything back on another one that has
a grant; nothing else does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import lmdb
import pytest
from blake3 import blake3

from tests.end_to_end.conftest import Site, differences, restored
from tests.support.trees import write_tree


@pytest.fixture
def lost(site: Site, tmp_path: Path) -> tuple[Site, Path, str]:
    """A site whose computer `old` backed up a tree and burnt; `new` is another one of the account, with a grant."""
    tree = write_tree(tmp_path / "tree", small_files=30)
    site.create_account("acme")
    site.register("acme", "old")
    code = site.create_job("acme", "old", "all", tree)
    site.backup("old", "all")
    shutil.rmtree(site.state("old"))
    site.register("acme", "new")
    site.grant("acme", "old", "all", "new")
    return site, tree, code


def test_the_password_restores_on_another_computer_only_under_a_grant(
    lost: tuple[Site, Path, str], tmp_path: Path
) -> None:
    """And once: the first use begins its last day. A grant is taken back at once."""
    site, tree, _ = lost
    grant = ("acme", "safeset", "revoke", "old", "all", "--to", "new")
    password = ("--password-file", site.password("all"), "--computer", "old")
    assert site.run_administrator(*grant).exit_code == 0
    for words in (("restore", "all", "--target", tmp_path / "x", *password), ("ls", "all", *password)):
        done = site.run_agent("new", *words)
        assert (done.exit_code, done.last["code"]) == (5, "not_allowed"), words
        assert "vaultctl safeset grant old all --to new" in done.last["hint"]
    assert site.run_agent("new", "safesets", "all", "--computer", "old").exit_code == 5
    assert not (tmp_path / "x").exists()
    site.grant("acme", "old", "all", "new")
    assert site.run_administrator("acme", "safeset", "grants").last[0]["first_used"] is None
    site.restore("new", "all", tmp_path / "back", "--computer", "old")
    assert differences(tree, restored(tmp_path / "back", tree)) == []
    (shown,) = site.run_administrator("acme", "safeset", "grants").last
    assert (shown["computer"], shown["job"], shown["to"], shown["is_good"]) == ("old", "all", "new", True)
    assert shown["first_used"] is not None
    site.kill()
    site.start()
    assert site.run_administrator("acme", "safeset", "grants").last == [shown]
    site.restore("new", "all", tmp_path / "again", "--computer", "old")
    assert site.run_administrator(*grant).exit_code == 0
    again = site.run_agent("new", "restore", "all", "--target", tmp_path / "y", *password)
    assert again.exit_code == 5


def test_password_alone_restores(lost: tuple[Site, Path, str], tmp_path: Path) -> None:
    site, tree, _ = lost
    site.restore("new", "all", tmp_path / "back", "--computer", "old")
    assert differences(tree, restored(tmp_path / "back", tree)) == []


def test_recovery_code_alone_restores(lost: tuple[Site, Path, str], tmp_path: Path) -> None:
    site, tree, code = lost
    code_file = tmp_path / "code"
    code_file.write_text(code.lower().replace("-", " ") + "\n")
    code_file.chmod(0o600)
    done = site.run_agent(
        "new", "restore", "all", "--target", tmp_path / "back", "--recovery-code-file", code_file, "--computer", "old"
    )
    assert done.exit_code == 0, done.error
    assert differences(tree, restored(tmp_path / "back", tree)) == []


def test_wrong_password_is_exit_12(lost: tuple[Site, Path, str], tmp_path: Path) -> None:
    site, _, _ = lost
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password of this job\n")
    wrong.chmod(0o600)
    done = site.run_agent(
        "new", "restore", "all", "--target", tmp_path / "back", "--password-file", wrong, "--computer", "old"
    )
    assert done.exit_code == 12
    assert done.last["type"] == "error"
    assert done.last["code"] == "wrong_password"
    assert not (tmp_path / "back").exists() or not any((tmp_path / "back").iterdir())


def damage_slots(site: Site, copies: set[int]) -> int:
    """Turns a bit in the wrapped slots, in rows that are whole in themselves: else the start makes the catalog anew. A
    copy's number is the last byte of its key.
    """
    with lmdb.open(str(site.vault / "catalog"), max_dbs=64, map_size=1 << 30) as environment:
        table = environment.open_db(b"slots", create=False)
        with environment.begin(write=True, db=table) as transaction:
            rows = [(bytes(key), bytes(value)) for key, value in transaction.cursor()]
            for key, value in rows:
                if key[-1] in copies:
                    spot = value.index(b"SSW1") + 60
                    row = value[:spot] + bytes([value[spot] ^ 1]) + value[spot + 1 : -8]
                    transaction.put(key, row + blake3(key + row).digest()[:8])
    return len(rows)


def test_a_damaged_slot_is_exit_9_and_its_copy_helps(lost: tuple[Site, Path, str], tmp_path: Path) -> None:
    site, tree, _ = lost
    site.stop()
    assert damage_slots(site, {0}) == 4
    site.start()
    site.restore("new", "all", tmp_path / "back", "--computer", "old")
    assert differences(tree, restored(tmp_path / "back", tree)) == []
    site.stop()
    damage_slots(site, {1})
    site.start()
    done = site.run_agent(
        "new",
        "restore",
        "all",
        "--target",
        tmp_path / "gone",
        "--password-file",
        site.password("all"),
        "--computer",
        "old",
    )
    assert done.exit_code == 9
    assert done.last["code"] == "damaged"
    site.stop()
    assert site.check().exit_code == 9


def test_what_is_not_found_says_where_to_look(lost: tuple[Site, Path, str], tmp_path: Path) -> None:
    site, tree, _ = lost
    password = ("--password-file", site.password("all"))
    restore = ("restore", "all", "--target", tmp_path / "back", *password)
    for words, hint in (
        (restore, "name the computer that made it with --computer NAME"),
        (("ls", "all", *password), "name the computer that made it with --computer NAME"),
        (("safesets", "all"), "name the computer that made it with --computer NAME"),
        ((*restore, "--computer", "old", "--safeset", "99"), "see `vault-agent safesets all --computer old`"),
        (("ls", "all", f"{tree}/no", "--computer", "old", *password), "it may be in an older one: --safeset N"),
        (("ls", "all", "no", "--computer", "old", *password), "name it from the file system's root on"),
    ):
        done = site.run_agent("new", *words, "--json")
        assert (done.exit_code, done.last["code"], done.last["hint"]) == (4, "not_found", hint)
