"""`vaultctl status`: what the vault holds and how it is."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

import click

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tools.client import calls
from tools.client.documents import document_of
from tools.client.program import Command
from tools.client.session import VaultSession
from tools.client.tables import Column, fields_text, table_text
from tools.client.units import count_text, size_text, time_text
from tools.vaultctl.identity import ask_vault, output_of
from tools.vaultctl.scrub_text import scrub_fields

Answer = TypeVar("Answer")

_DISK_COLUMNS = (
    Column("DISK", right=True),
    Column("STATE"),
    Column("FREE", right=True),
    Column("TOTAL", right=True),
    Column("PATH"),
)


_CLOCK = "the clock of the vault jumped, so nothing expires: `vaultctl clock accept` once its time above is right"


@click.command("status", cls=Command)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Shows what the vault holds and how it is (operator)."""
    status, listed, scrub = ask_vault(ctx, _status_disks_and_scrub)
    warnings = [*listed.warnings, *([_CLOCK] if status.clock_doubted else [])]
    fields = [
        ("vault", status.name),
        ("place", status.place or "-"),
        ("version", status.version),
        ("started (UTC)", time_text(status.started_ns)),
        ("time of the vault (UTC)", time_text(status.time_ns)),
        ("accounts", count_text(status.accounts)),
        ("computers", count_text(status.computers)),
        ("jobs", count_text(status.jobs)),
        ("safesets", count_text(status.safesets)),
        ("safesets damaged", _damaged(status)),
        *scrub_fields(scrub),
        ("jobs frozen", count_text(status.jobs_frozen)),
        ("runs now", count_text(status.runs_active)),
        ("records", f"{count_text(status.records)} ({size_text(status.record_bytes)})"),
        ("containers", count_text(status.containers)),
        ("connections", count_text(status.connections)),
    ]
    unnamed = sorted(set(status.offline_disks) - {disk.path for disk in listed.disks})
    disks = [*map(_row, listed.disks), *(("-", "offline", "-", "-", path) for path in unnamed)]
    output_of(ctx).show(
        document_of(status)
        | {"disks": [document_of(disk) for disk in listed.disks], "warnings": warnings}
        | {"scrub": None if scrub is None else document_of(scrub)},
        lambda: f"{fields_text(fields)}\n\n{table_text(_DISK_COLUMNS, disks, 'No disk is attached.')}",
    )
    output_of(ctx).note(*(f"warning: {warning}" for warning in warnings))


def _damaged(status: m.VaultStatus) -> str:
    more = "; whether more are is being looked for" if status.safesets_in_doubt else ""
    return f"{count_text(status.safesets_damaged)}{more}"


def _row(disk: m.DiskSummary) -> Sequence[str]:
    number = "-" if disk.number is None else str(disk.number)
    sizes = [size_text(size) if disk.state == "online" else "-" for size in (disk.free_bytes, disk.total_bytes)]
    return (number, disk.state, *sizes, disk.path or "-")


async def _status_disks_and_scrub(
    session: VaultSession,
) -> tuple[m.VaultStatus, m.DiskListAnswer, m.ScrubStateAnswer | None]:
    """The list of disks first: it looks for them anew. An older vault has neither it nor a scrub."""
    listed = await _known(calls.list_disks(session))
    status = await calls.vault_status(session)
    return (
        status,
        listed or m.DiskListAnswer([_online(disk) for disk in status.disks], []),
        await _known(calls.scrub_state(session)),
    )


async def _known(asked: Awaitable[Answer]) -> Answer | None:
    try:
        return await asked
    except RemoteProtocolError as error:
        if error.code != ErrorCode.unknown_method:
            raise
    return None


def _online(disk: m.DiskStatus) -> m.DiskSummary:
    return m.DiskSummary(disk.number, disk.disk_id, "online", disk.path, disk.total_bytes, disk.free_bytes, 0, 0)
