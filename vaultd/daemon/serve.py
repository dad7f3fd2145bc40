"""Puts the daemon together, starts its parts in order and stops them in the opposite order.

Start: vault (locks its directory and disks, recovers from disk), listener, group commit, maintenance, ready. Stop: no
new requests, running ones end, last commit, checkpoint. When the store failed there is neither commit nor checkpoint:
the next start recovers.
"""

import gc
import signal
import ssl
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import click
import trio

from protocol.allocator import reuse_freed_memory
from protocol.transport import server_tls_context
from vaultd import metrics
from vaultd.clock import SystemClock
from vaultd.config import join_address, load_config
from vaultd.daemon.open_files import raise_open_files
from vaultd.errors import NoSpace, Unavailable
from vaultd.logs import configure_logs, log
from vaultd.maintenance.checkpoint import tell_copies
from vaultd.maintenance.clock_watch import ClockWatch
from vaultd.maintenance.runner import run_maintenance
from vaultd.operations import ledger
from vaultd.operations.places import SERVER_FILE, SERVER_KEY_FILE
from vaultd.operations.vault import Vault, close_vault, open_vault
from vaultd.server.group_commit import GroupCommit
from vaultd.server.listener import Listener
from vaultd.server.service import Service
from vaultd.store.disk_door import SystemDoor
from vaultd.systemd import notify, watchdog_seconds

EXIT_OK, EXIT_STORE_STOPPED = 0, 1
# Collections of the middle generation to one of all; Python's own is 10.
FULL_COLLECTION_EVERY = 2


def serve(directory: Path) -> int:
    """Runs the vault until it is told to stop; returns the exit code."""
    configure_logs()
    reuse_freed_memory()
    config = load_config(directory)
    if problem := raise_open_files(config):
        log.warning("few open files", problem=problem)
    begin = time.monotonic()
    vault = open_vault(config, SystemClock(), SystemDoor())
    exit_code = EXIT_STORE_STOPPED
    try:
        _tell_recovery(vault, time.monotonic() - begin)
        _exempt_what_stays()
        exit_code = trio.run(_run, vault)
    finally:
        exit_code = max(exit_code, _close(vault))
    log.info("stopped", code=exit_code)
    return exit_code


def _exempt_what_stays() -> None:
    """The collector no longer walks through what the start made, and which lives to the end: such a walk, now and
    then in the middle of whatever the event loop does, kept all connections waiting for 20 to 40 ms. What ended
    connections leave is looked for often, so that little of it has come together: all at once it took as long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, FULL_COLLECTION_EVERY)
    gc.collect()  # what is exempt counts no more where the collector asks whether another one is worth it


def _close(vault: Vault) -> int:
    was_broken = vault.store.is_broken  # then no checkpoint is written
    try:
        close_vault(vault)
    except Exception as error:  # whatever it is: the next start needs no checkpoint
        log.error("no checkpoint", problem=f"{type(error).__name__}: {error.__cause__ or error}")
        return EXIT_STORE_STOPPED
    if was_broken:
        return EXIT_STORE_STOPPED
    tell_copies(vault)
    return EXIT_OK


async def _run(vault: Vault) -> int:
    config = vault.config
    group = GroupCommit(partial(ledger.write, vault), config.group_commit_bytes, config.group_commit_seconds)
    service = Service(vault, group)
    listener = Listener(service, config, _tls_context(vault))
    watch = ClockWatch(vault)
    with suppress(Unavailable, NoSpace):  # the watch tries it again
        await watch.look()  # before an entry of this start hides what the clock said before the stop
    port = await listener.open()
    async with trio.open_nursery() as background:
        background.start_soon(_commit_groups, service)
        background.start_soon(run_maintenance, vault, watch, service.stop_if_broken, service.restores.told_jobs)
        background.start_soon(_feed_watchdog)
        async with trio.open_nursery() as front:
            front.start_soon(listener.serve)
            await background.start(_watch_signals, service, front.cancel_scope)
            # Scripts wait for exactly this line.
            click.echo(f"listening on https://{join_address(config.host, port)}")
            notify("READY=1")
            await service.stop.wait()
            notify("STOPPING=1")
            log.info("stopping", connections=len(service.sessions))
            listener.stop()
        if not service.store_stopped.is_set():
            with suppress(Unavailable, NoSpace):  # then the commit of groups ended, and told why
                await group.flush()
        background.cancel_scope.cancel()
    await service.stop_if_found_broken()
    return EXIT_STORE_STOPPED if service.store_stopped.is_set() else EXIT_OK


async def _commit_groups(service: Service) -> None:
    try:
        await service.group.run()
    except Exception as error:
        # Fail-stop: what was not acknowledged is not stored, and only a recovery from disk may write again.
        service.tell_stopped(error)
        service.stop_after_disk_error()


async def _watch_signals(
    service: Service, front: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The first signal begins an orderly stop, the second ends the draining."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("signal", signal=signal.Signals(number).name)
            if service.stop.is_set():
                front.cancel()
            service.stop.set()


async def _feed_watchdog() -> None:
    seconds = watchdog_seconds()
    while seconds is not None:
        notify("WATCHDOG=1")
        await trio.sleep(seconds)


def _tls_context(vault: Vault) -> ssl.SSLContext:
    directory = vault.config.directory
    minimum = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}[vault.config.tls_minimum]
    files = str(directory / SERVER_FILE), str(directory / SERVER_KEY_FILE)
    return server_tls_context(*files, vault.authority.certificate_pem.decode(), minimum=minimum)


def _tell_recovery(vault: Vault, seconds: float) -> None:
    for finding in vault.recovery.findings:
        log.warning("recovery", severity=finding.severity.value, place=finding.place, problem=finding.sentence)
    for disk in vault.store.disks_taken:
        log.info("disk taken", place=str(disk.path), number=disk.number)
    metrics.DISKS_OFFLINE.set(len(vault.store.disks.paths_away))
    log.info("vault opened", seconds=round(seconds, 3), records=vault.recovery.records_indexed)
