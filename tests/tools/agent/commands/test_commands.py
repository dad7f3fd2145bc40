"""The exit codes and last lines of `backup` and `restore`."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from protocol.errors import ConnectionLost
from tests.support.trees import write_tree
from tests.tools.agent.commands.conftest import password_file, run
from tests.tools.agent.conftest import JOB_ID, PASSWORD, Site
from tests.tools.agent.planted import Planter, entry
from tools.agent.__main__ import main
from tools.agent.commands import backup as backup_command
from tools.agent.commands import restore as restore_command
from tools.agent.safeset.entries import UNKNOWN_EXTRAS, UNKNOWN_KIND
from tools.agent.state import lock_state
from tools.agent.vault import connection
from tools.client import manifest_walk
from tools.client.failure import Failure
from tools.client.output import Output


def test_backup_and_restore(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.source / "file").write_bytes(b"content")
    code, lines = run(site, capsys, "backup", "job")
    assert code == 0
    expected = {"type": "summary", "files": 1, "protected_bytes": 7, "safeset": 1, "warnings": 0}
    assert lines[-1].items() >= expected.items()
    asked = {"directories", "bytes_read", "remade_bytes", "new_chunks", "uploaded_bytes", "reused_bytes", "seconds"}
    assert asked <= lines[-1].keys()
    with password_file(site.directory, PASSWORD) as path:
        code, lines = run(site, capsys, "restore", "job", "--target", str(site.target), "--password-file", path)
        assert code == 0
        assert lines[-1].items() >= {"type": "summary", "files": 1, "bytes": 7, "warnings": 0}.items()
        code, lines = run(site, capsys, "ls", "job", str(site.source / "file"), "--password-file", path)
        assert (code, lines[0]["path"], lines[0]["size"]) == (0, str(site.source / "file"), 7)
        assert lines[1:] == [{"type": "summary", "entries": 1, "complete": True, "warnings": 0}]
        code, _ = run(site, capsys, "ls", "job", "/nowhere", "--password-file", path)
        assert code == 4
        code, _ = run(site, capsys, "restore", "job", "--safeset", "9", "--target", "/tmp", "--password-file", path)
        assert code == 4
        code, _ = run(site, capsys, "restore", "job", "--safeset", "x", "--target", "/tmp", "--password-file", path)
        assert code == 2
    with password_file(site.directory, "wrong one") as path:
        code, lines = run(site, capsys, "ls", "job", "--password-file", path)
        assert (code, lines[-1]["code"]) == (12, "wrong_password")
        nowhere = site.target / "not made for a wrong password"
        code, _ = run(site, capsys, "restore", "job", "--target", str(nowhere), "--password-file", path)
        assert (code, nowhere.exists()) == (12, False)


def test_a_connection_that_ends_badly_after_the_safeset_is_a_note(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class BadEnd:
        async def __aenter__(self) -> Any:
            await trio.lowlevel.checkpoint()
            return site.vault

        async def __aexit__(self, *_: object) -> None:
            raise ConnectionLost("The connection was lost.")

    monkeypatch.setattr(connection, "connect", lambda endpoint, program, **_: BadEnd())
    (site.source / "file").write_bytes(b"content")
    code, lines = run(site, capsys, "backup", "job")
    assert (code, lines[-1]["safeset"]) == (0, 1)


def test_warnings_are_exit_code_3(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.define(include=[bytes(site.source), b"/nowhere/at/all"])
    code, lines = run(site, capsys, "backup", "job")
    assert code == 3
    assert lines[-2:][0] == {"type": "warning", "path": "/nowhere/at/all", "code": "include not found"}
    assert lines[-1]["warnings"] == 1


def test_damage_is_exit_code_9(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.source / "file").write_bytes(b"content")
    run(site, capsys, "backup", "job")
    (lost,) = site.vault.ids_of_type(1)
    del site.vault.records[lost]
    with password_file(site.directory, PASSWORD) as path:
        code, lines = run(site, capsys, "restore", "job", "--target", str(site.target), "--password-file", path)
    assert (code, lines[-1]["type"], lines[-1]["code"]) == (9, "error", "damaged")
    assert {"type": "warning", "path": str(site.source / "file"), "code": "damaged"} in lines


def test_what_a_later_version_wrote_is_exit_code_3(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run(site, capsys, "backup", "job")
    Planter(site).plant([[entry(b"a\x1b]0;x\x07", extras={10: 1}), entry(b"b", kind=9), entry(b"c")]])
    with password_file(site.directory, PASSWORD) as path:
        for words in (("restore", "job", "--target", str(site.target)), ("ls", "job")):
            code, lines = run(site, capsys, *words, "--password-file", path)
            assert (code, lines[-1]["type"], lines[-1]["warnings"]) == (3, "summary", 2)
            warnings = [(line["path"], line["code"]) for line in lines if line["type"] == "warning"]
            assert warnings == [("/a\\x1b]0;x\\x07", UNKNOWN_EXTRAS), ("/b", UNKNOWN_KIND)]
        assert [line["path"] for line in lines if line["type"] == "entry"] == ["/a\x1b]0;x\x07", "/c"]


def test_a_listing_that_breaks_off_is_still_json_lines(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # More entries than one leaf may hold, whatever the random keyring says about the cuts.
    write_tree(site.source, small_files=5_000)
    run(site, capsys, "backup", "job")
    root = site.vault.roots[-1][0]
    top_companion = site.vault.records[root[192:224]]
    assert root[224] == 1, "the tree must be large enough for an inner block"
    monkeypatch.setattr(manifest_walk, "LEAVES_AT_ONCE", 1)
    del site.vault.records[top_companion[-32:]]
    with password_file(site.directory, PASSWORD) as path:
        code, lines = run(site, capsys, "ls", "job", "--password-file", path)
    assert (code, lines[-1]["type"], lines[-1]["code"]) == (9, "error", "damaged")
    assert len(lines) > 100
    assert {line["type"] for line in lines[:-1]} == {"entry"}


def test_what_ls_shows_of_a_path_leads_to_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    names = [b"\\xff", b"\xff", b"line\nfeed", "\x9b".encode(), "right\u202eleft".encode()]
    for name in names:
        (site.source / os.fsdecode(name)).write_bytes(name)
    assert run(site, capsys, "backup", "job")[0] == 0
    with password_file(site.directory, PASSWORD) as path:
        secret = ["--password-file", path]
        assert main.run(["--state", str(site.state.path), "ls", "job", *secret]) == 0  # type: ignore[attr-defined]
        shown = [line.partition(" /")[2] for line in capsys.readouterr().out.splitlines()]
        files = ["/" + text for text in shown if text.startswith(str(site.source)[1:] + "/")]
        assert (len(set(files)), all(text.isascii() for text in files)) == (len(names), True)
        for number, text in enumerate(files):
            code, lines = run(site, capsys, "ls", "job", text, "--escaped", *secret)
            assert (code, lines[-1]["entries"]) == (0, 1)
            target = site.target / str(number)
            code, _ = run(site, capsys, "restore", "job", text, "--escaped", "--target", str(target), *secret)
            (restored,) = (found for found in target.rglob("*") if found.is_file())
            assert (code, restored.read_bytes()) == (0, bytes(Path(restored.name)))
        assert run(site, capsys, "ls", "job", "/\\q", "--escaped", *secret)[0] == 2
        code, lines = run(site, capsys, "ls", "job", "/\\q", *secret)
        assert (code, "--escaped" in lines[-1]["hint"]) == (4, True)


def test_a_target_that_is_a_file_is_exit_code_6(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.source / "file").write_bytes(b"1")
    run(site, capsys, "backup", "job")
    with password_file(site.directory, PASSWORD) as path:
        code, lines = run(site, capsys, "restore", "job", "--target", path, "--password-file", path)
        assert (code, lines[-1]["message"]) == (6, f"target {path} is a file, not a directory")
        assert Path(path).read_text() == PASSWORD + "\n"


def test_an_interrupted_backup_says_how_it_goes_on(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backup_command, "ask_vault", interrupted)
    code, lines = run(site, capsys, "backup", "job")
    told = (code, lines[-1]["message"], lines[-1]["hint"])
    assert told == (130, "interrupted", "the same command goes on where it ended")


def test_a_run_that_was_asked_for_names_its_job(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """In the log of the service."""
    (site.source / "file").write_bytes(b"1")
    site.vault.job = msgspec.structs.replace(site.vault.job, run_requested=True)
    with lock_state(site.state):
        assert backup_command.back_up_asked(Output(), site.state, JOB_ID) == 0
    assert capsys.readouterr().out.startswith("Job job: Safeset 1: 1 file, 1 B, ")


def test_a_full_disk_says_how_many_files_are_whole(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.source / "file").write_bytes(b"1")
    run(site, capsys, "backup", "job")

    async def full(unlocked: object, paths: object, destination: object, tell: Any) -> None:
        await trio.lowlevel.checkpoint()
        tell(12, 100)
        raise Failure("no_space", "the disk restored to is full", "make room and restore again")

    monkeypatch.setattr(restore_command, "restore", full)
    with password_file(site.directory, PASSWORD) as path:
        code, lines = run(site, capsys, "restore", "job", "--target", str(site.target), "--password-file", path)
    assert (code, lines[-1]["message"]) == (7, "the disk restored to is full; 12 files or more are whole")
    assert lines[-1]["hint"] == "make room and restore again: what is whole stays"


def test_a_backup_that_is_watched_tells_the_total(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.source / "large").write_bytes(os.urandom(1 << 22) * 16)
    code, lines = run(site, capsys, "backup", "job")
    assert code == 0
    status = [line for line in lines if line["type"] == "status"]
    assert {line["bytes_total"] for line in status} <= {None, 1 << 26}
    assert lines[-1]["protected_bytes"] == 1 << 26


def test_a_run_without_any_included_path_names_the_first(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.source.rmdir()
    code, lines = run(site, capsys, "backup", "job")
    assert (code, lines[-1]["code"]) == (4, "not_found")
    assert lines[-1]["message"].endswith(f"; the first is {site.source}")
