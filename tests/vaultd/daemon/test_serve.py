"""How the daemon ends: exit 1 where the store stopped, whoever noticed."""

import errno
import gc
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import Site, batch, make_site
from vaultd.daemon import serve
from vaultd.errors import NotFound, Unavailable
from vaultd.operations import upload
from vaultd.server.group_commit import GroupCommit


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """On a free port; the signal to stop comes as soon as it is ready."""

    def stop_when_ready(text: str) -> None:
        if text == "READY=1":
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(serve, "notify", stop_when_ready)
    site = make_site(tmp_path)
    site.config = replace(site.config, listen="127.0.0.1:0")
    site.reopen()
    return site


def fail_to_sync(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync() -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(site.vault.store._journal, "sync", sync)


async def test_a_stop_in_order_ends_with_exit_0(site: Site) -> None:
    assert await serve._run(site.vault) == serve.EXIT_OK
    assert serve._close(site.vault) == serve.EXIT_OK


async def test_a_store_that_broke_unnoticed_ends_a_stop_in_order_with_exit_1(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_sync(site, monkeypatch)
    with pytest.raises(Unavailable):
        site.administrator("acme")
    with structlog.testing.capture_logs() as lines:
        assert await serve._run(site.vault) == serve.EXIT_STORE_STOPPED
    (stopped,) = [line for line in lines if line["event"] == "store stopped"]
    assert "Input/output error" in stopped["problem"]
    assert serve._close(site.vault) == serve.EXIT_STORE_STOPPED


def test_a_broken_store_is_closed_with_exit_1(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_to_sync(site, monkeypatch)
    with pytest.raises(Unavailable):
        site.administrator("acme")
    assert serve._close(site.vault) == serve.EXIT_STORE_STOPPED


async def test_a_last_commit_that_fails_ends_with_exit_1_and_its_cause(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records wait for their commit when the signal comes."""
    backed_up = site.ready()
    identity = backed_up.agent.identity
    facts = upload.facts(site.vault, identity, backed_up.sealer.run_id)
    verified = upload.verify(facts, batch(backed_up.sealer.record(DATA, os.urandom(50))))
    flush = GroupCommit.flush

    async def append_and_flush(group: GroupCommit) -> None:
        await group.append(lambda: upload.append(site.vault, verified, identity), 1)
        await flush(group)

    monkeypatch.setattr(GroupCommit, "flush", append_and_flush)
    fail_to_sync(site, monkeypatch)
    with structlog.testing.capture_logs() as lines:
        assert await serve._run(site.vault) == serve.EXIT_STORE_STOPPED
    (stopped,) = [line for line in lines if line["event"] == "store stopped"]
    assert "Input/output error" in stopped["problem"]
    assert serve._close(site.vault) == serve.EXIT_STORE_STOPPED


def test_what_the_start_made_is_nothing_to_the_collector_while_the_loop_runs(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the tens of thousands of objects that modules are made of: each full collection would walk through them in
    the middle of the event loop's work."""
    looked_at: list[int] = []

    async def look(_: object) -> int:
        looked_at.append(len(gc.get_objects()))
        return serve.EXIT_OK

    serve_with(look, site, monkeypatch)
    assert looked_at[0] < 5000


class Ended:
    """Such as an ended connection and what belongs to it: nothing but the collector finds that nobody holds it."""

    alive = 0

    def __init__(self) -> None:
        self.itself = self
        Ended.alive += 1

    def __del__(self) -> None:
        Ended.alive -= 1


def test_little_of_what_ended_connections_leave_comes_together(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    peak = 0

    async def end_many(_: object) -> int:
        nonlocal peak
        held: deque[Ended] = deque(maxlen=2000)  # for so long that they are not found as young ones
        for _ in range(200_000):
            held.append(Ended())
            peak = max(peak, Ended.alive)
        return serve.EXIT_OK

    serve_with(end_many, site, monkeypatch)
    assert peak < 30_000


def serve_with(run: Callable[[object], Awaitable[int]], site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's start and end around something else than its event loop's work."""
    monkeypatch.setattr(serve, "open_vault", lambda *_: site.vault)
    monkeypatch.setattr(serve, "load_config", lambda _: site.config)
    monkeypatch.setattr(serve, "configure_logs", lambda: None)
    monkeypatch.setattr(serve, "_run", run)
    thresholds = gc.get_threshold()
    try:
        assert serve.serve(site.config.directory) == serve.EXIT_OK
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_the_daemon_keeps_the_memory_of_its_buffers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(serve, "reuse_freed_memory", lambda: told.append(True))
    monkeypatch.setattr(serve, "configure_logs", lambda: None)  # else the tests behind this one have another log
    with pytest.raises(NotFound):
        serve.serve(tmp_path / "nothing")
    assert told == [True]
