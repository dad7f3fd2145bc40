"""`vault-agent serve`: work of the vault and of people here, done as if each had run the command alone."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, SLOW_AGENT, Site, differences, environment, restored, run_program
from tests.support.trees import write_long_tree, write_tree

SOON_SECONDS = 60
GOES_ON = "the same command goes on where it ended"
AGENT = (sys.executable, "-m", "tools.agent")
# What differs from one run of an unchanged tree to the next.
OWN = {"seconds", "safeset", "bytes_per_second", "remaining_seconds"}


class Service:
    """The real program; `stop` returns its exit code."""

    def __init__(self, site: Site, computer: str, agent: Sequence[str]) -> None:
        self.log = site.directory / f"{computer}.service.log"
        with self.log.open("a") as log:
            self.program = subprocess.Popen(
                [*agent, "--state", str(site.state(computer)), "serve", "--json"],
                cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.program.stdout is not None
        is_there = bool(select.select([self.program.stdout], [], [], SOON_SECONDS)[0])
        line = self.program.stdout.readline() if is_there else ""
        assert json.loads(line or "{}").get("type") == "ready", self.log.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.program.send_signal(number)
        self.program.communicate(timeout=SOON_SECONDS)
        return self.program.returncode


@contextmanager
def serving(site: Site, computer: str = "pc", agent: Sequence[str] = AGENT) -> Iterator[Service]:
    service = Service(site, computer, agent)
    try:
        yield service
    finally:
        if service.program.poll() is None:
            service.stop(signal.SIGKILL)


@contextmanager
def started(site: Site, *words: object) -> Iterator[subprocess.Popen[str]]:
    program = subprocess.Popen(
        [sys.executable, "-m", *map(str, words), "--json"],
        cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with program:
        try:
            yield program
        finally:
            program.kill()


def job_run(site: Site, job: str) -> tuple[str, ...]:
    return ("tools.vaultctl", "--context", str(site.context("acme")), "job", "run", "pc", job, "--wait")


def read_until(program: subprocess.Popen[str], words: str) -> None:
    """A line of its output with these words; it has a line at least each second while a run goes on."""
    assert program.stdout is not None
    for line in program.stdout:
        if words in line:
            return
    pytest.fail(f"{words} never came")


def outcomes(site: Site, job: str) -> list[str]:
    shown = site.run_administrator("acme", "job", "show", "pc", job)
    return [run["outcome"] for run in shown.last["runs"]]


def until_running(site: Site, job: str) -> None:
    while (found := outcomes(site, job)) != ["running"]:
        assert found == [], "it was over before it was seen"


@pytest.fixture
def office(site: Site, tmp_path: Path) -> Site:
    """A computer with a small job, which has one warning."""
    site.create_account("acme")
    site.register("acme", "pc")
    tree = write_tree(tmp_path / "small", small_files=20)
    site.create_job("acme", "pc", "small", tree, "--include", tmp_path / "missing")
    return site


def without(lines: list[Any], own: set[str] = OWN) -> list[dict[str, Any]]:
    """Progress apart, which comes by the clock."""
    told = [line for line in lines if line.get("type") != "status"]
    return [{key: value for key, value in line.items() if key not in own} for line in told]


def test_a_run_that_is_asked_for_starts_at_once(office: Site) -> None:
    with serving(office) as service:
        done = office.run_administrator("acme", "job", "run", "pc", "small", "--wait")
        assert (done.exit_code, done.last["outcome"], done.last["sequence"]) == (3, "warnings", 1)
        assert service.stop() == 0


def test_what_was_asked_for_while_nobody_listened_is_run_later(office: Site) -> None:
    office.run_administrator("acme", "job", "run", "pc", "small")
    with started(office, *job_run(office, "small")) as waiting:
        assert waiting.stdout is not None
        read_until(waiting, '"state"')  # it asked too, before the service is there
        with serving(office):
            waiting.wait(timeout=SOON_SECONDS)
            assert json.loads(waiting.stdout.readlines()[-1])["sequence"] == 1
    assert outcomes(office, "small") == ["warnings"]  # one run for one request


def test_a_vault_that_was_away_finds_the_service_again(office: Site) -> None:
    with serving(office) as service:
        for restart in (False, True):
            if restart:
                office.stop()
                office.start()
            done = office.run_administrator("acme", "job", "run", "pc", "small", "--wait")
            assert done.last["outcome"] == "warnings"
        assert service.log.read_text().count("connected to the vault\n") == 2


def test_a_backup_that_is_handed_over_ends_as_one_alone(office: Site) -> None:
    office.run_agent("pc", "backup", "small")
    alone = office.run_agent("pc", "backup", "small")
    with serving(office):
        handed = office.run_agent("pc", "backup", "small")
    # Directories above the tree are in a safeset too, and others write in them meanwhile.
    own = OWN | {"new_chunks", "uploaded_bytes"}
    assert (alone.exit_code, without(alone.lines, own), alone.error) == (3, without(handed.lines, own), handed.error)
    assert handed.exit_code == alone.exit_code
    assert (alone.last["safeset"], handed.last["safeset"]) == (2, 3)
    # The service did it: its process alone had the lock.
    assert outcomes(office, "small") == ["warnings"] * 3


def test_a_restore_that_is_handed_over_ends_as_one_alone(office: Site, tmp_path: Path) -> None:
    office.run_agent("pc", "backup", "small")
    words = ["--safeset", "1", "--password-file", office.password("small")]
    alone = office.run_agent("pc", "restore", "small", "--target", tmp_path / "alone", *words)
    wrong = tmp_path / "wrong.password"
    wrong.touch(0o600)
    wrong.write_text("not the password\n")
    with serving(office):
        handed = office.run_agent(
            "pc", "restore", "small", "--target", os.path.relpath(tmp_path / "handed", ROOT), *words
        )
        refused = office.run_agent("pc", "restore", "small", "--target", tmp_path / "no", "--password-file", wrong)
    assert (handed.exit_code, without(handed.lines), handed.error) == (
        alone.exit_code,
        without(alone.lines),
        alone.error,
    )
    assert alone.exit_code == 0
    source = tmp_path / "small"
    assert differences(restored(tmp_path / "alone", source), restored(tmp_path / "handed", source)) == []
    assert differences(source, restored(tmp_path / "handed", source)) == []
    assert (refused.exit_code, refused.last["code"]) == (12, "wrong_password")


def test_the_recovery_code_is_handed_over_too(office: Site, tmp_path: Path) -> None:
    code = office.create_job("acme", "pc", "coded", tmp_path / "small")
    office.backup("pc", "coded")
    with serving(office):
        words = ["restore", "coded", "--target", tmp_path / "back", "--recovery-code-file", "-"]
        done = run_program("vault-agent", "--state", office.state("pc"), *words, stdin=f"{code}\n")
    assert done.exit_code == 0, done.error
    assert differences(tmp_path / "small", restored(tmp_path / "back", tmp_path / "small")) == []


def test_an_unknown_job_is_not_found_by_the_service_either(office: Site) -> None:
    alone = office.run_agent("pc", "backup", "other")
    with serving(office):
        handed = office.run_agent("pc", "backup", "other")
    assert (handed.exit_code, handed.lines, handed.error) == (4, alone.lines, alone.error)


def test_a_dead_socket_is_no_service(office: Site) -> None:
    with serving(office) as service:
        service.stop(signal.SIGKILL)
        assert (office.state("pc") / "service.sock").is_socket()
        assert office.run_agent("pc", "backup", "small").exit_code == 3


def test_two_services_on_one_state_are_refused(office: Site) -> None:
    with serving(office) as service:
        second = office.run_agent("pc", "serve")
        assert (second.exit_code, second.last["code"]) == (6, "conflict")
        assert office.run_agent("pc", "backup", "small").exit_code == 3
        assert service.stop() == 0
    assert not (office.state("pc") / "service.sock").exists()


def test_what_only_reads_works_beside_the_service(office: Site) -> None:
    office.run_agent("pc", "backup", "small")
    with serving(office):
        assert office.run_agent("pc", "status").last["service"] is True
        assert len(office.run_agent("pc", "safesets", "small").last) == 1
        listed = office.run_agent("pc", "ls", "small", "--password-file", office.password("small"))
        assert listed.last["entries"] > 20
    assert office.run_agent("pc", "status").last["service"] is False


@pytest.fixture
def busy(office: Site, tmp_path: Path) -> Site:
    """With a job whose backup takes ten seconds of SLOW_AGENT."""
    office.create_job("acme", "pc", "long", write_long_tree(tmp_path / "long", files=2_000))
    return office


def test_a_cancelled_run_ends_at_the_agent_too(busy: Site) -> None:
    with serving(busy, agent=SLOW_AGENT), started(busy, *job_run(busy, "long")) as waiting:
        read_until(waiting, '"backing up"')
        cancelled = busy.run_administrator("acme", "job", "cancel", "pc", "long")
        assert cancelled.last == {"computer": "pc", "job": "long", "request": False, "run": True}
        assert waiting.stdout is not None
        assert json.loads(waiting.stdout.readlines()[-1])["outcome"] == "aborted"
        assert waiting.wait(SOON_SECONDS) == 1
        # It waits for the turn of that run, so that one is over here too.
        assert busy.run_agent("pc", "backup", "small").exit_code == 3
    assert outcomes(busy, "long") == ["aborted"]


def test_a_stop_ends_the_run_and_the_next_one_goes_on(busy: Site) -> None:
    with serving(busy, agent=SLOW_AGENT) as service, started(busy, *job_run(busy, "long")) as waiting:
        read_until(waiting, '"backing up"')
        assert service.stop() == 0
        assert waiting.wait(SOON_SECONDS) == 1
    assert outcomes(busy, "long") == ["aborted"]
    with serving(busy):
        done = busy.run_administrator("acme", "job", "run", "pc", "long", "--wait")
    assert (done.exit_code, done.last["outcome"]) == (0, "done")


def test_a_run_that_was_asked_for_goes_on_after_the_vault_was_away(busy: Site) -> None:
    """Its request is taken by then, and it is run to its end all the same."""
    with serving(busy, agent=SLOW_AGENT):
        busy.run_administrator("acme", "job", "run", "pc", "long")
        until_running(busy, "long")
        busy.kill()
        busy.start()
        deadline = time.monotonic() + 2 * SOON_SECONDS
        while "done" not in (found := outcomes(busy, "long")):
            assert time.monotonic() < deadline, found
    assert busy.run_administrator("acme", "safeset", "list", "pc", "long").last != []


def test_a_service_that_is_killed_takes_its_run_with_it(busy: Site) -> None:
    with serving(busy, agent=SLOW_AGENT) as service, started(busy, *job_run(busy, "long")) as waiting:
        read_until(waiting, '"backing up"')
        service.stop(signal.SIGKILL)
        assert waiting.wait(SOON_SECONDS) == 1
    assert outcomes(busy, "long") == ["aborted"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_what_was_handed_over(busy: Site, number: signal.Signals) -> None:
    words = ("tools.agent", "--state", str(busy.state("pc")), "backup", "long")
    with serving(busy, agent=SLOW_AGENT), started(busy, *words) as backup:
        until_running(busy, "long")
        backup.send_signal(number)
        output, error = backup.communicate(timeout=SOON_SECONDS)
        assert (backup.returncode, error) == (130, f"error: interrupted\nhint: {GOES_ON}\n")
        assert json.loads(output.splitlines()[-1])["code"] == "interrupted"
        assert busy.run_agent("pc", "backup", "small").exit_code == 3
    assert outcomes(busy, "long") == ["aborted"]


def test_a_second_backup_waits_and_a_restore_goes_beside(office: Site, long_tree: Path, tmp_path: Path) -> None:
    office.run_agent("pc", "backup", "small")
    office.create_job("acme", "pc", "long", long_tree)
    words = ("tools.agent", "--state", str(office.state("pc")), "backup")
    with serving(office, agent=SLOW_AGENT), started(office, *words, "long") as first:
        until_running(office, "long")
        with started(office, *words, "small") as second:
            read_until(second, '"behind": "the backup of long"')
            office.restore("pc", "small", tmp_path / "back")
            assert (first.poll(), second.poll()) == (None, None)
            second.send_signal(signal.SIGINT)
            _, error = second.communicate(timeout=SOON_SECONDS)
            assert (second.returncode, error.splitlines()[-1]) == (130, "error: interrupted")
            assert first.poll() is None
    assert outcomes(office, "small") == ["warnings"]  # who gave up waiting has started nothing
