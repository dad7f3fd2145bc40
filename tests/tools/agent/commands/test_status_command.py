"""What `status` shows, and what does not go beside other work."""

import shutil
from typing import Any

import pytest

from tests.support.creator import Creator
from tests.tools.agent.commands.conftest import password_file, run
from tests.tools.agent.conftest import PASSWORD, Site, signed
from tools.agent.__main__ import main
from tools.agent.local.local_socket import listen
from tools.agent.state import lock_state


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


def test_status_says_which_job_will_not_run(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.vault.job = signed(site.vault.job, Creator())
    code, lines = run(site, capsys, "status")
    assert (code, lines[0]["jobs"][0]["signed"]) == (0, False)
    assert main.run(["--state", str(site.state.path), "status"]) == 0  # type: ignore[attr-defined]
    assert "will not run" in capsys.readouterr().out


def test_adopt_beside_the_service_says_what_to_do(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with lock_state(site.state), listen(site.state.path):
        assert main.run(["--state", str(site.state.path), "adopt", "job"]) == 6  # type: ignore[attr-defined]
    told = capsys.readouterr().err
    assert "the service works with" in told
    assert "systemctl stop vault-agent" in told
