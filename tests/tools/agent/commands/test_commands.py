"""The commands' exit codes and last lines, with the vault replaced where the session begins."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from protocol.errors import ConnectionLost
from tests.support.creator import Creator
from tests.support.trees import write_tree
from tests.tools.agent.conftest import JOB_ID, PASSWORD, RECOVERY_CODE, Site, signed
from tests.tools.agent.planted import Planter, entry
from tests.tools.client.second_implementation import recovery_text
from tools.agent.__main__ import main
from tools.agent.commands import backup as backup_command
from tools.agent.commands import restore as restore_command
from tools.agent.local.local_socket import listen
from tools.agent.safeset.entries import UNKNOWN_EXTRAS, UNKNOWN_KIND
from tools.agent.state import lock_state
from tools.agent.vault import connection
from tools.client import manifest_walk
from tools.client.failure import Failure
from tools.client.invite_code import InviteCode, format_invite_code
from tools.client.output import Output


@pytest.fixture(autouse=True)
def _no_wire(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(endpoint: object, program: str) -> Any:
        class Context:
            async def __aenter__(self) -> Any:
                await trio.lowlevel.checkpoint()
                return site.vault

            async def __aexit__(self, *_: object) -> None:
                return

        return Context()

    monkeypatch.setattr(connection, "connect", connect)
    monkeypatch.setattr(connection, "collect_garbage_rarely", lambda: None)


@contextmanager
def password_file(directory: Path, password: str) -> Iterator[str]:
    path = directory / "password"
    path.touch(0o600)
    path.write_text(password + "\n")
    yield str(path)


def run(site: Site, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[Any]]:
    code = main.run(["--state", str(site.state.path), *words, "--json"])  # type: ignore[attr-defined]
    out = capsys.readouterr().out
    try:
        return code, [json.loads(out)]
    except ValueError:
        return code, [json.loads(line) for line in out.splitlines()]


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

    monkeypatch.setattr(connection, "connect", lambda endpoint, program: BadEnd())
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


def test_an_unknown_job_is_exit_code_4(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, capsys, "backup", "other")[0] == 4


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


def test_a_second_process_is_exit_code_6(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with lock_state(site.state):
        code, lines = run(site, capsys, "backup", "job")
    assert (code, lines[-1]["code"]) == (6, "conflict")


def test_status_shows_keys_and_jobs(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(site, capsys, "status")
    assert code == 0
    assert (lines[0]["computer"], lines[0]["creator"]) == ("pc1", site.creator.fingerprint_text)
    job = {"job": "job", "keyring_ready": False, "safeset": 0, "run_requested": False, "signed": True}
    assert lines[0]["jobs"] == [job | {"secret_lost": None, "adopt_first": False}]
    assert main.run(["--state", str(site.state.path), "status"]) == 0  # type: ignore[attr-defined]
    shown = capsys.readouterr().out
    assert f"takes jobs signed with  {site.creator.fingerprint_text}" in shown
    assert "key of this agent" in shown


def test_status_shows_the_newest_complete_safeset(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """And a provisional one only while there is none, as `vaultctl job list` does."""
    (site.source / "file").write_bytes(b"1")
    assert run(site, capsys, "backup", "job")[0] == 0
    root, payload = site.vault.roots[0]
    provisional = root[:6] + b"\0" + root[7:], payload
    site.vault.roots.append(provisional)
    assert run(site, capsys, "status")[1][0]["jobs"][0]["safeset"] == 1
    site.vault.roots[0] = provisional
    assert run(site, capsys, "status")[1][0]["jobs"][0]["safeset"] == 2


def test_status_says_which_job_is_to_be_adopted(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """As long as a backup would refuse it: the keys were made in another state directory."""
    (site.source / "file").write_bytes(b"1")
    assert run(site, capsys, "backup", "job")[0] == 0
    assert run(site, capsys, "status")[1][0]["jobs"][0]["adopt_first"] is False
    shutil.rmtree(site.state.path / "jobs")
    assert run(site, capsys, "status")[1][0]["jobs"][0]["adopt_first"] is True
    assert main.run(["--state", str(site.state.path), "status"]) == 0  # type: ignore[attr-defined]
    shown = capsys.readouterr().out
    assert ("ready" in shown, "adopt first\n" in shown, "\n  vault-agent adopt JOB\n" in shown) == (False, True, True)
    assert run(site, capsys, "backup", "job")[0] == 6
    assert run(site, capsys, "status")[1][0]["jobs"][0]["adopt_first"] is True


def test_a_job_that_was_removed_is_called_that(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.source / "file").write_bytes(b"1")
    assert run(site, capsys, "backup", "job")[0] == 0
    ask = site.vault.ask

    async def removed(message_type: str, message: Any, answer: Any) -> Any:
        return (answer([]), b"") if message_type == "agent.jobs" else await ask(message_type, message, answer)

    site.vault.ask = removed  # type: ignore[method-assign]
    told = run(site, capsys, "backup", "job")[1][-1]
    assert (told["message"], told["hint"]) == ("job 'job' was removed", "its safesets are kept and can be restored")
    assert run(site, capsys, "backup", "other")[1][-1]["message"] == "this computer has no job 'other'"
    shutil.rmtree(site.state.path / "jobs")
    with password_file(site.directory, PASSWORD) as path:
        words = ["restore", "job", "--target", str(site.target), "--password-file", path]
        assert main.run(["--state", str(site.state.path), *words]) == 0  # type: ignore[attr-defined]
    said = capsys.readouterr().err
    assert ("job was removed at the vault" in said, "adopt" in said) == (True, False)


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


def test_status_says_which_job_will_not_run(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.vault.job = signed(site.vault.job, Creator())
    code, lines = run(site, capsys, "status")
    assert (code, lines[0]["jobs"][0]["signed"]) == (0, False)
    assert main.run(["--state", str(site.state.path), "status"]) == 0  # type: ignore[attr-defined]
    assert "will not run" in capsys.readouterr().out


def test_help_needs_no_state_and_everything_else_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_AGENT_STATE", raising=False)
    for name in ("register", "backup", "restore", "safesets", "ls", "status"):
        assert main.run([name, "--help"]) == 0  # type: ignore[attr-defined]
        said = capsys.readouterr().out
        assert f"vault-agent {name}" in said
        assert max(map(len, said.splitlines())) <= 80
    assert main.run(["status"]) == 2  # type: ignore[attr-defined]
    assert "--state DIR" in capsys.readouterr().err


def test_a_recovery_code_comes_from_a_file_or_standard_input(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(site, capsys, "backup", "job")
    written = recovery_text(RECOVERY_CODE).encode()
    path = site.directory / "code"
    path.write_bytes(written + b"\n")
    path.chmod(0o640)
    assert run(site, capsys, "ls", "job", "--recovery-code-file", str(path))[0] == 5
    path.chmod(0o600)
    assert run(site, capsys, "ls", "job", "--recovery-code-file", str(path))[0] == 0
    for given, code in ((written.lower() + b"\r\n", 0), (b"", 2), (written[:-1], 2), (b"\xff", 2)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert run(site, capsys, "ls", "job", "--recovery-code-file", "-")[0] == code


def test_what_is_listed_is_safe_for_a_terminal(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run(site, capsys, "backup", "job")
    hostile = "\x1b]0;x\x07\x9b31m\u202e\n"
    raw = entry(hostile.encode() + b"\xff", kind=3, extras={1: hostile.encode()})
    raw[5] = raw[6] = hostile
    Planter(site).plant([[raw]])
    with password_file(site.directory, PASSWORD) as path:
        words = ["--state", str(site.state.path), "ls", "job", "--password-file", path]
        assert main.run(words) == 0  # type: ignore[attr-defined]
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()
    assert said.out.count("\n") == 1


def test_a_backup_that_is_watched_tells_the_total(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.source / "large").write_bytes(os.urandom(1 << 22) * 16)
    code, lines = run(site, capsys, "backup", "job")
    assert code == 0
    status = [line for line in lines if line["type"] == "status"]
    assert {line["bytes_total"] for line in status} <= {None, 1 << 26}
    assert lines[-1]["protected_bytes"] == 1 << 26


def test_an_empty_target_or_path_is_refused(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They come from shell variables that were not set; "." would be the live tree where this directory is /."""
    (site.source / "file").write_bytes(b"content")
    assert run(site, capsys, "backup", "job")[0] == 0
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with password_file(site.directory, PASSWORD) as password:
        for words, sentence in (
            (("restore", "job", "--target", "", "--overwrite", "always"), "--target is empty"),
            (("restore", "job", "", "--target", "."), "a PATH is empty"),
            (("restore", "job", str(site.source), "", "--target", "."), "a PATH is empty"),
            (("ls", "job", ""), "a PATH is empty"),
        ):
            code, lines = run(site, capsys, *words, "--password-file", password)
            assert (code, lines[-1]["code"], lines[-1]["message"]) == (2, "usage", sentence)
            assert lines[-1]["hint"]
    assert not list(here.iterdir())


def test_an_empty_state_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--state", "", "register", "https://vault.example:8443", "--code", "A"]
    assert main.run(words) == 2  # type: ignore[attr-defined]
    assert "error: --state is empty\nhint: " in capsys.readouterr().err


def test_an_empty_name_is_not_the_host_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code_file = tmp_path / "code"
    code_file.write_text(format_invite_code(InviteCode(bytes(16), bytes(20), bytes(20))))
    words = ["register", "https://vault.example:8443", "--code-file", str(code_file), "--name", ""]
    assert main.run(["--state", str(tmp_path / "new"), *words]) == 2  # type: ignore[attr-defined]
    assert "error: --name is empty\n" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_run_without_any_included_path_names_the_first(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.source.rmdir()
    code, lines = run(site, capsys, "backup", "job")
    assert (code, lines[-1]["code"]) == (4, "not_found")
    assert lines[-1]["message"].endswith(f"; the first is {site.source}")


def test_adopt_beside_the_service_says_what_to_do(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with lock_state(site.state), listen(site.state.path):
        assert main.run(["--state", str(site.state.path), "adopt", "job"]) == 6  # type: ignore[attr-defined]
    told = capsys.readouterr().err
    assert "the service works with" in told
    assert "systemctl stop vault-agent" in told
