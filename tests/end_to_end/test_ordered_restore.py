"""`vaultctl safeset restore` with the real programs: on the computer itself, on another one, cut and gone on with."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import SLOWLY, Done, Site, differences, restored
from tests.end_to_end.test_service import AGENT, SOON_SECONDS, read_until, serving, started
from tests.support.creator import Creator
from tests.support.trees import write_tree


def order(site: Site, target: Path, *words: object, computer: str = "pc", job: str = "small") -> Done:
    password = ("--password-file", site.password(job))
    return site.run_administrator(
        "acme", "safeset", "restore", computer, job, "--target", target, *password, *words
    )  # fmt: skip


def orders(site: Site) -> list[dict[str, Any]]:
    """Newest first."""
    found: list[dict[str, Any]] = site.run_administrator("acme", "safeset", "restores").last
    return found


@pytest.fixture
def office(site: Site, tmp_path: Path) -> Site:
    """A computer with a job that has a safeset, and a second computer."""
    site.create_account("acme")
    site.register("acme", "pc")
    site.register("acme", "second")
    tree = write_tree(tmp_path / "small", small_files=20)
    site.create_job("acme", "pc", "small", tree)
    site.backup("pc", "small")
    return site


def test_a_restore_that_is_ordered_is_carried_out_there(office: Site, tmp_path: Path) -> None:
    source = tmp_path / "small"
    with serving(office) as service:
        done = order(office, tmp_path / "back", "--wait")
        assert done.exit_code == 0, done.error
        summary = done.last
        assert (summary["type"], summary["state"], summary["exit_code"]) == ("summary", "done", 0)
        assert summary["files"] > 20
        assert {"files", "bytes", "seconds", "warnings"} <= summary.keys()
        assert service.stop() == 0
    assert differences(source, restored(tmp_path / "back", source)) == []
    (shown,) = orders(office)
    assert (shown["computer"], shown["job"], shown["to"], shown["state"]) == ("pc", "small", "pc", "done")
    assert office.run_administrator("acme", "safeset", "grants").last == []


def test_on_another_computer(office: Site, tmp_path: Path) -> None:
    source = tmp_path / "small"
    with serving(office, "second"):
        done = order(office, tmp_path / "back", "--to", "second", "--trust-agent-key", "--wait")
        assert (done.exit_code, done.last["state"]) == (0, "done"), done.error
        assert differences(source, restored(tmp_path / "back", source)) == []
        # Leave to restore there has gone with the order.
        assert office.run_administrator("acme", "safeset", "grants").last == []
        refused = office.run_agent(
            "second", "restore", "small", "--computer", "pc", "--target", tmp_path / "no", "--password-file",
            office.password("small"),
        )  # fmt: skip
        assert refused.exit_code == 5


def test_paths_a_safeset_and_an_overwrite_rule(office: Site, tmp_path: Path) -> None:
    source = tmp_path / "small"
    (first,) = [path for path in sorted(source.rglob("*")) if path.is_file() and path.stat().st_size > 10][:1]
    content = first.read_bytes()
    first.write_bytes(b"changed")
    office.backup("pc", "small")
    words = ("--safeset", "1", "--path", first, "--wait")
    with serving(office):
        assert order(office, Path("/"), *words).exit_code == 3  # it is there, and stays
        assert first.read_bytes() == b"changed"
        assert order(office, Path("/"), *words, "--overwrite", "always").last["files"] == 1
    assert first.read_bytes() == content


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [((), 12, "wrong_password"), (("--path", "/nowhere"), 4, "not_found")],
)
def test_a_restore_that_fails_ends_as_it_would_there(
    office: Site, tmp_path: Path, words: tuple[str, ...], exit_code: int, code: str
) -> None:
    if not words:
        office.password("small").write_text("not the password\n")
    with serving(office):
        done = order(office, tmp_path / "back", *words, "--wait")
    assert (done.exit_code, done.last["type"], done.last["code"]) == (exit_code, "error", code)
    assert (orders(office)[0]["state"], orders(office)[0]["exit_code"]) == ("failed", exit_code)


def test_an_order_of_another_creator_is_refused(office: Site, tmp_path: Path) -> None:
    """Somebody has the context, as who made the account does, and not its signing key."""
    Creator().write(office.context("acme"))
    with serving(office):
        done = order(office, tmp_path / "back", "--wait")
    assert (done.exit_code, done.last["code"], orders(office)[0]["state"]) == (5, "not_allowed", "refused")
    assert "its creator did not give this order" in done.error
    assert not (tmp_path / "back").exists()


def test_an_order_waits_for_a_service_that_is_away(office: Site, tmp_path: Path) -> None:
    left = order(office, tmp_path / "back")
    assert (left.exit_code, left.last["restore"], left.last["connected"]) == (0, 1, False)
    assert orders(office)[0]["state"] == "waiting"
    office.stop()
    office.start()
    with serving(office):
        until(office, "done")
    assert differences(tmp_path / "small", restored(tmp_path / "back", tmp_path / "small")) == []


def until(site: Site, state: str) -> None:
    while (found := orders(site)[0]["state"]) != state:
        assert found in ("waiting", "running")


def test_cancelled_before_it_began(office: Site, tmp_path: Path) -> None:
    order(office, tmp_path / "back")
    cancelled = office.run_administrator("acme", "safeset", "cancel-restore", "1")
    assert cancelled.last["state"] == "cancelled"
    with serving(office):
        assert order(office, tmp_path / "other", "--wait").exit_code == 0
    assert not (tmp_path / "back").exists()
    assert office.run_administrator("acme", "safeset", "cancel-restore", "2").exit_code == 6
    assert office.run_administrator("acme", "safeset", "cancel-restore", "3").exit_code == 4


def delayed(milliseconds: int) -> list[str]:
    """An agent that takes so much longer for each file that it restores."""
    return [*SLOWLY[:-4], "-e", "trace=utimensat", "-e", f"inject=utimensat:delay_enter={milliseconds}000", *AGENT]


SLOW_AGENT = delayed(300)
# Half a minute of work is left when a program starts that ends it: enough on a busy machine too.
SLOWER_AGENT = delayed(1000)
LARGE_FILES = 30


@pytest.fixture
def busy(office: Site, tmp_path: Path) -> Site:
    """With a job whose restore takes many seconds under SLOW_AGENT."""
    (tmp_path / "long").mkdir()
    for number in range(LARGE_FILES):  # none shares a batch with all others
        (tmp_path / "long" / f"large-{number}").write_bytes(os.urandom(3 << 20))
    office.create_job("acme", "pc", "long", tmp_path / "long")
    office.backup("pc", "long")
    return office


def waiting_for(site: Site, target: Path) -> tuple[object, ...]:
    return (
        "tools.vaultctl", "--context", site.context("acme"), "safeset", "restore", "pc", "long", "--target", target,
        "--password-file", site.password("long"), "--wait",
    )  # fmt: skip


def whole_files(target: Path) -> int:
    """Those that have their names."""
    return len(list(target.rglob("large-*")))


def test_who_waits_sees_how_far_it_is_and_a_cancel_ends_it(busy: Site, tmp_path: Path) -> None:
    with serving(busy, agent=SLOWER_AGENT), started(busy, *waiting_for(busy, tmp_path / "back")) as waiting:
        read_until(waiting, '"bytes_per_second"')
        while not whole_files(tmp_path / "back"):
            assert waiting.poll() is None
        assert busy.run_administrator("acme", "safeset", "cancel-restore", "1").exit_code == 0
        output, error = waiting.communicate(timeout=SOON_SECONDS)
        assert (waiting.returncode, json.loads(output.splitlines()[-1])["type"]) == (1, "error")
        assert "restore 1 was cancelled" in error
        # It has stopped there: the next one gets its turn.
        one = next(path for path in (tmp_path / "small").rglob("*") if path.is_file())
        assert order(busy, tmp_path / "other", "--path", one, "--wait").exit_code == 0
    assert 0 < whole_files(tmp_path / "back") < LARGE_FILES


def test_ctrl_c_leaves_the_order(busy: Site, tmp_path: Path) -> None:
    with serving(busy, agent=SLOW_AGENT), started(busy, *waiting_for(busy, tmp_path / "back")) as waiting:
        read_until(waiting, '"running"')
        waiting.send_signal(signal.SIGINT)
        _, error = waiting.communicate(timeout=SOON_SECONDS)
        assert waiting.returncode == 130
        assert "restore 1 stays ordered" in error
        assert "`vaultctl safeset cancel-restore 1`" in error
        until(busy, "done")


def test_a_service_that_is_killed_finishes_it_when_it_is_up_again(busy: Site, tmp_path: Path) -> None:
    with started(busy, *waiting_for(busy, tmp_path / "back")) as waiting:
        with serving(busy, agent=SLOW_AGENT) as service:
            while not (before := whole_files(tmp_path / "back")):
                assert waiting.poll() is None
            service.stop(signal.SIGKILL)
        assert orders(busy)[0]["state"] == "running"
        with serving(busy):
            output, error = waiting.communicate(timeout=2 * SOON_SECONDS)
    assert waiting.returncode == 0, error
    summary = json.loads(output.splitlines()[-1])
    assert (summary["state"], before <= summary["left"] < LARGE_FILES) == ("done", True)
    assert differences(tmp_path / "long", restored(tmp_path / "back", tmp_path / "long")) == []


def test_a_vault_that_was_away_does_not_end_it(busy: Site, tmp_path: Path) -> None:
    with serving(busy, agent=SLOW_AGENT):
        password = ("--password-file", busy.password("long"))
        busy.run_administrator("acme", "safeset", "restore", "pc", "long", "--target", tmp_path / "back", *password)
        while orders(busy)[0]["state"] != "running":
            pass
        busy.kill()
        busy.start()
        until(busy, "done")
    assert differences(tmp_path / "long", restored(tmp_path / "back", tmp_path / "long")) == []


def test_no_password_is_left_anywhere(office: Site, tmp_path: Path) -> None:
    """Neither in the agent's state and log, nor in anything that the vault has."""
    password = office.password("small").read_bytes().strip()
    with serving(office):
        assert order(office, tmp_path / "back", "--wait").exit_code == 0
    searched = [office.vault, office.state("pc"), office.directory / "pc.service.log", office.log_file]
    files = [file for one in searched for file in ([one] if one.is_file() else one.rglob("*")) if file.is_file()]
    assert len(files) > 10
    assert [file for file in files if password in file.read_bytes()] == []
    assert os.listdir(office.state("pc") / "orders") != []
