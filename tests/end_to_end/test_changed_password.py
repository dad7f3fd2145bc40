"""Another password for a job, with the real programs: the old one opens nothing any more, nothing is uploaded, and a
kill at any step leaves one of the two good.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import MODULES, ROOT, Done, Site, differences, environment, restored
from tests.independent.reader.store import open_store
from tests.support.trees import write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", small_files=10)


@pytest.fixture
def code(site: Site, tree: Path) -> str:
    """A job with a safeset; its recovery code."""
    site.create_account("acme")
    site.register("acme", "pc")
    code = site.create_job("acme", "pc", "all", tree)
    site.backup("pc", "all")
    return code


def secret_file(site: Site, name: str, text: str) -> Path:
    path = site.directory / name
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return path


def change(site: Site, new: Path, *old: object) -> Done:
    words = old or ("--password-file", site.password("all"))
    return site.run_administrator("acme", "keyring", "password", "pc", "all", *words, "--new-password-file", new)


def restore(site: Site, target: Path, *secret: object) -> Done:
    return site.run_agent("pc", "restore", "all", "--target", target, *secret)


def stored_bytes(site: Site) -> int:
    status: int = site.run_operator("status").last["record_bytes"]
    return status


def erase_keys(site: Site) -> dict[str, bytes]:
    """By slot and job: the keys in the files."""
    files = (site.disks[0] / "erase-keys").glob("*.key")
    return {path.stem: path.read_bytes()[24:56] for path in files}


def holding(site: Site, key: bytes) -> list[Path]:
    return [path for path in site.directory.rglob("*") if path.is_file() and key in path.read_bytes()]


def test_the_new_password_restores_and_the_old_one_does_not(site: Site, code: str, tree: Path, tmp_path: Path) -> None:
    old, new = site.password("all"), secret_file(site, "new.password", "another good password")
    before, stored = erase_keys(site), stored_bytes(site)
    done = change(site, new)
    assert done.exit_code == 0, done.error
    assert done.last["jobs"] == [{"computer": "pc", "job": "all"}]
    assert stored_bytes(site) == stored
    assert restore(site, tmp_path / "old", "--password-file", old).exit_code == 12
    assert restore(site, tmp_path / "new", "--password-file", new).exit_code == 0
    assert differences(tree, restored(tmp_path / "new", tree)) == []
    by_code = secret_file(site, "recovery.code", code)
    assert restore(site, tmp_path / "code", "--recovery-code-file", by_code).exit_code == 0
    summary = site.backup("pc", "all")
    assert (summary["safeset"], summary["bytes_read"]) == (2, 0)
    site.stop()
    (gone,) = [key for name, key in before.items() if erase_keys(site)[name] != key]
    assert erase_keys(site)[next(name for name, key in before.items() if key == gone)] == bytes(32)
    assert holding(site, gone) == []
    assert site.check().exit_code == 0


def test_a_forgotten_password_is_changed_with_the_recovery_code(site: Site, code: str, tmp_path: Path) -> None:
    new = secret_file(site, "new.password", "another good password")
    assert change(site, new, "--recovery-code-file", secret_file(site, "recovery.code", code)).exit_code == 0
    assert restore(site, tmp_path / "old", "--password-file", site.password("all")).exit_code == 12
    assert restore(site, tmp_path / "new", "--password-file", new).exit_code == 0


def test_a_wrong_password_or_one_that_is_too_short_changes_nothing(site: Site, code: str, tmp_path: Path) -> None:
    new, wrong = (
        secret_file(site, "new.password", "another good password"),
        secret_file(site, "wrong", "not the password"),
    )
    assert change(site, new, "--password-file", wrong).exit_code == 12
    assert change(site, secret_file(site, "short", "1234567")).exit_code == 2
    assert restore(site, tmp_path / "old", "--password-file", site.password("all")).exit_code == 0


@contextmanager
def killing(site: Site, path: Path, call: str) -> Iterator[None]:
    """SIGKILL for the daemon at the first such call on this file."""
    assert site.daemon is not None
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(site.daemon.pid), "-P", path, "-o", site.directory / "strace.out",
         "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when=1"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert strace.stderr is not None
    try:
        assert "attached" in strace.stderr.readline()
        yield
    finally:
        strace.terminate()
        strace.wait(10)
        strace.stderr.close()


@pytest.mark.parametrize(
    ("place", "call", "is_changed"),
    [("journal", "pwrite64", False), ("journal", "fdatasync", True), ("old key", "pwrite64", True)],
)
def test_a_kill_at_any_step_leaves_one_password_good(
    site: Site, code: str, tmp_path: Path, place: str, call: str, is_changed: bool
) -> None:
    """At the write of the entry nothing is changed; from its sync on, or at the old erase key, everything is."""
    old, new = site.password("all"), secret_file(site, "new.password", "another good password")
    slot = password_slot(site)
    key = erase_keys(site)[slot]
    (journal,) = (site.disks[0] / "journal").glob("*.journal")
    path = journal if place == "journal" else site.disks[0] / "erase-keys" / f"{slot}.key"
    with killing(site, path, call):
        words = ["--password-file", old, "--new-password-file", new]
        program = subprocess.Popen(
            [*vaultctl(site), "keyring", "password", "pc", "all", *map(str, words)],
            cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert site.wait() == -9
        program.kill()
        program.wait()
    site.start()
    exits = [restore(site, tmp_path / f"from-{file.stem}", "--password-file", file).exit_code for file in (old, new)]
    assert exits == ([12, 0] if is_changed else [0, 12])
    assert (holding(site, key) == []) is is_changed
    again = change(site, new, "--password-file", new if is_changed else old)
    assert again.exit_code == 0, again.error
    assert holding(site, key) == []
    assert restore(site, tmp_path / "again", "--password-file", new).exit_code == 0


def vaultctl(site: Site) -> list[str]:
    return [sys.executable, "-m", MODULES["vaultctl"], "--context", str(site.context("acme"))]


def password_slot(site: Site) -> str:
    """Its id, read from the disks of the vault by another program."""
    site.stop()
    (slot_id,) = [slot_id for slot_id, slot in open_store(site.vault).found.slots.items() if slot.kind == 1]
    site.start()
    return slot_id.hex()
