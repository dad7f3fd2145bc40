"""Newer keys for a job, with the real programs: nothing is uploaded again, the older keys are closed, and a run that
goes on meanwhile begins again by itself.
"""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, SLOW_AGENT, Done, Site, differences, environment, restored
from tests.independent.reader.restore import open_keyrings
from tests.independent.reader.store import open_store
from tests.support.trees import write_long_tree, write_tree

SOON_SECONDS = 200


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", small_files=10)


@pytest.fixture
def code(site: Site, tree: Path) -> str:
    site.create_account("acme")
    site.register("acme", "pc")
    return site.create_job("acme", "pc", "all", tree)


def secret_file(site: Site, name: str, text: str) -> Path:
    path = site.directory / name
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return path


def rotate(site: Site, job: str, *words: object) -> Done:
    old = ("--password-file", site.password(job))
    return site.run_administrator("acme", "keyring", "password", "pc", job, *old, "--rotate", *words)


def restore(site: Site, target: Path, *secret: object) -> Done:
    return site.run_agent("pc", "restore", "all", "--target", target, *secret)


def test_newer_keys_upload_nothing_and_close_the_older(site: Site, code: str, tree: Path, tmp_path: Path) -> None:
    first, new = site.backup("pc", "all"), secret_file(site, "new.password", "another good password")
    done = rotate(site, "all", "--new-password-file", new)
    assert done.exit_code == 0, done.error
    assert done.last["generation"] == 2
    assert done.last["recovery_code"] not in (None, code)
    second = site.backup("pc", "all")
    assert second["safeset"] == 2
    assert second["uploaded_bytes"] < 50_000 < first["uploaded_bytes"]
    for name, secret, exit_code in (
        ("old", ("--password-file", site.password("all")), 12),
        ("old-code", ("--recovery-code-file", secret_file(site, "old.code", code)), 12),
        ("code", ("--recovery-code-file", secret_file(site, "new.code", done.last["recovery_code"])), 0),
        ("new", ("--password-file", new), 0),
        ("first", ("--password-file", new, "--safeset", 1), 0),
    ):
        assert restore(site, tmp_path / f"by-{name}", *secret).exit_code == exit_code, name
        if exit_code == 0:
            assert differences(tree, restored(tmp_path / f"by-{name}", tree)) == []
    assert site.backup("pc", "all")["bytes_read"] == 0
    site.stop()
    (opened,) = open_keyrings(open_store(site.vault), new.read_text().strip())
    assert sorted(opened.keyring.generations) == [1, 2]
    assert site.check().exit_code == 0


def test_the_recovery_code_that_is_given_stays(site: Site, code: str, tmp_path: Path) -> None:
    site.backup("pc", "all")
    by_code = secret_file(site, "recovery.code", code)
    done = rotate(site, "all", "--recovery-code-file", by_code)
    assert (done.exit_code, done.last["recovery_code"]) == (0, None)
    assert restore(site, tmp_path / "a", "--recovery-code-file", by_code).exit_code == 0
    assert restore(site, tmp_path / "b", "--password-file", site.password("all")).exit_code == 0
    assert rotate(site, "all", "--no-recovery-code").exit_code == 0
    assert restore(site, tmp_path / "c", "--recovery-code-file", by_code).exit_code == 12
    assert site.backup("pc", "all")["safeset"] == 2


def test_new_ids_are_told_first_and_upload_everything_again(site: Site, code: str, tmp_path: Path, tree: Path) -> None:
    first = site.backup("pc", "all")
    asked = rotate(site, "all", "--new-ids")
    assert asked.exit_code == 2
    assert f"{first['protected_bytes']:,} bytes" in asked.error
    assert rotate(site, "all", "--new-ids", "--yes").exit_code == 0
    second = site.backup("pc", "all")
    assert second["uploaded_bytes"] > 0.9 * first["uploaded_bytes"]
    for number in (1, 2):
        secret = ("--password-file", site.password("all"), "--safeset", number)
        assert restore(site, tmp_path / f"of-{number}", *secret).exit_code == 0
        assert differences(tree, restored(tmp_path / f"of-{number}", tree)) == []


def test_a_run_that_goes_on_begins_again_by_itself(site: Site, tmp_path: Path) -> None:
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "long", write_long_tree(tmp_path / "long", files=1_000))
    agent = subprocess.Popen(
        [*SLOW_AGENT, "--state", str(site.state("pc")), "backup", "long", "--json"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert agent.stdout is not None
    assert '"type": "status"' in agent.stdout.readline()
    agent.send_signal(signal.SIGSTOP)  # so that it is in the middle of its run for as long as that takes
    try:
        done = rotate(site, "long", "--no-recovery-code")
    finally:
        agent.send_signal(signal.SIGCONT)
    assert done.exit_code == 0, done.error
    out, error = agent.communicate(timeout=SOON_SECONDS)
    assert agent.returncode == 0, error
    assert "the job has other keys now" in error
    assert '"safeset": 1' in out.splitlines()[-1]
    runs = site.run_administrator("acme", "job", "show", "pc", "long").last["runs"]
    assert [run["outcome"] for run in runs] == ["done", "aborted"]
