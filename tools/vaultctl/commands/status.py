"""`vaultctl status`: what the vault holds and how it is."""

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

_DISK_COLUMNS = (Column("DISK", right=True), Column("FREE", right=True), Column("TOTAL", right=True), Column("PATH"))


@click.command("status", cls=Command)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Shows what the vault holds and how it is (operator)."""
    status, warnings = ask_vault(ctx, _status_and_warnings)
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
        ("runs now", count_text(status.runs_active)),
        ("records", f"{count_text(status.records)} ({size_text(status.record_bytes)})"),
        ("containers", count_text(status.containers)),
        ("connections", count_text(status.connections)),
    ]
    disks = [
        (str(disk.number), size_text(disk.free_bytes), size_text(disk.total_bytes), disk.path) for disk in status.disks
    ]
    disks += [("-", "offline", "-", path) for path in status.offline_disks]
    output_of(ctx).show(
        document_of(status) | {"warnings": warnings},
        lambda: f"{fields_text(fields)}\n\n{table_text(_DISK_COLUMNS, disks, 'No disk is attached.')}",
    )
    output_of(ctx).note(*(f"warning: {warning}" for warning in warnings))


async def _status_and_warnings(session: VaultSession) -> tuple[m.VaultStatus, list[str]]:
    status = await calls.vault_status(session)
    try:
        return status, (await calls.list_disks(session)).warnings
    except RemoteProtocolError as error:
        if error.code != ErrorCode.unknown_method:  # of an older vault
            raise
        return status, []
