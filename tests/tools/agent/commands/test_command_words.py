"""What is said of words that are wrong, and of what only help needs."""

import io
from pathlib import Path

import pytest

from tests.tools.agent.commands.conftest import password_file, run
from tests.tools.agent.conftest import PASSWORD, RECOVERY_CODE, Site
from tests.tools.agent.planted import Planter, entry
from tests.tools.client.second_implementation import recovery_text
from tools.agent.__main__ import main
from tools.client.invite_code import InviteCode, format_invite_code


def test_an_unknown_job_is_exit_code_4(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, capsys, "backup", "other")[0] == 4


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
