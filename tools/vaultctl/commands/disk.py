"""`vaultctl disk`: the disks of a vault, and the word that one is lost for good."""

import sys
from collections.abc import Sequence
from functools import partial

import click

from protocol import messages as m
from tools.client import calls
from tools.client.documents import document_of
from tools.client.failure import Failure
from tools.client.program import Group
from tools.client.session import VaultSession
from tools.client.tables import Column, table_text
from tools.client.units import count_text, size_text
from tools.vaultctl.confirmation import confirm
from tools.vaultctl.identity import ask_vault, output_of

_COLUMNS = (
    Column("DISK", right=True),
    Column("STATE"),
    Column("FREE", right=True),
    Column("TOTAL", right=True),
    Column("CONTAINERS", right=True),
    Column("STORED", right=True),
    Column("SAFESETS HIT", right=True),
    Column("ID"),
    Column("PATH"),
)
_HIT_COLUMNS = (
    Column("ACCOUNT"),
    Column("COMPUTER"),
    Column("JOB"),
    Column("SAFESET", right=True),
    Column("RECORDS", right=True),
)
_NOTHING_HIT = "No safeset uses anything on it."


@click.group("disk", cls=Group)
def command() -> None:
    """Disks of the vault (operator)."""


@command.command("list")
@click.pass_context
def list_disks(ctx: click.Context) -> None:
    """Lists the disks, and how many safesets use what lies on one that is offline or lost."""
    answer, hits = ask_vault(ctx, _disks_and_hits)
    disks = [(disk, hits.get(disk.disk_id)) for disk in answer.disks]
    output = output_of(ctx)
    output.show(
        _documents(answer, hits),
        lambda: table_text(_COLUMNS, [_row(disk, hit) for disk, hit in disks], "No disk is known."),
    )
    output.note(*(f"warning: {warning}" for warning in answer.warnings))


@command.command("lost")
@click.argument("disk")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what is hit, and declare nothing.")
@click.option("--undo", is_flag=True, help="Take back that it is lost: it is offline again.")
@click.pass_context
def lose_disk(ctx: click.Context, disk: str, yes: bool, dry_run: bool, undo: bool) -> None:
    """Declares an offline disk (number or id) lost for good: what lay on it is asked for again from the computers."""
    if undo and dry_run:
        raise click.UsageError("--dry-run shows what a lost disk hits: leave --undo out", ctx)
    online = not undo and ask_vault(ctx, partial(_is_online, disk=disk))
    if online and dry_run:
        output_of(ctx).note(f"note: disk {disk} is online: it cannot be declared lost as long as it is here")
    hits = [] if undo else ask_vault(ctx, partial(calls.hits_of_disk, disk=disk))
    if not (yes or dry_run or undo or sys.stdin.isatty()):
        raise Failure("usage", "nothing was declared: nobody can be asked here", "see --dry-run, then give --yes")
    if not (output_of(ctx).json or undo):
        click.echo(table_text(_HIT_COLUMNS, [_hit_row(hit) for hit in hits], _NOTHING_HIT))
    if not (yes or dry_run or undo):
        confirm(f"Disk {disk} is lost for good, and so are these records?", "nothing was declared")
    if dry_run:
        output_of(ctx).show({"disk": None, "hit": [document_of(hit) for hit in hits]}, lambda: "Nothing was declared.")
        return
    changed = ask_vault(ctx, partial(calls.lose_disk, disk=disk, undo=undo))
    output_of(ctx).show(
        {"disk": document_of(changed), "hit": [document_of(hit) for hit in hits]},
        lambda: _told(changed),
    )


async def _disks_and_hits(session: VaultSession) -> tuple[m.DiskListAnswer, dict[bytes, int]]:
    answer = await calls.list_disks(session)
    away = [disk for disk in answer.disks if disk.state != "online"]
    hits = {disk.disk_id: len(await calls.hits_of_disk(session, disk.disk_id.hex())) for disk in away}
    return answer, hits


async def _is_online(session: VaultSession, disk: str) -> bool:
    answer = await calls.list_disks(session)
    return any(one.state == "online" and disk in (str(one.number), one.disk_id.hex()) for one in answer.disks)


def _documents(answer: m.DiskListAnswer, hits: dict[bytes, int]) -> list[dict[str, object]]:
    """A list, as of every `list`; what is said of no single disk, as of DIR, stands with each of them."""
    by_disk = {disk.disk_id: _warnings_of(disk, answer) for disk in answer.disks}
    told = {warning for warnings in by_disk.values() for warning in warnings}
    others = [warning for warning in answer.warnings if warning not in told]
    return [
        document_of(disk)
        | {"safesets_hit": hits.get(disk.disk_id), "warnings": by_disk[disk.disk_id], "vault_warnings": others}
        for disk in answer.disks
    ]


def _warnings_of(disk: m.DiskSummary, answer: m.DiskListAnswer) -> list[str]:
    return [warning for warning in answer.warnings if disk.path and warning.startswith(f"{disk.path}: ")]


def _row(disk: m.DiskSummary, hits: int | None) -> Sequence[str]:
    is_online = disk.state == "online"
    return (
        "-" if disk.number is None else str(disk.number),
        disk.state,
        size_text(disk.free_bytes) if is_online else "-",
        size_text(disk.total_bytes) if is_online else "-",
        count_text(disk.containers),
        size_text(disk.record_bytes),
        "-" if hits is None else count_text(hits),
        disk.disk_id.hex(),
        disk.path or "-",
    )


def _hit_row(hit: m.SafesetHit) -> Sequence[str]:
    records = f"{'at least ' if hit.at_least else ''}{count_text(hit.records)}"
    return hit.account, hit.computer, hit.job, count_text(hit.number), records


def _told(disk: m.DiskSummary) -> str:
    name = disk.disk_id.hex() if disk.number is None else f"{disk.number} ({disk.disk_id.hex()})"
    if disk.state == "lost":
        return (
            f"Disk {name} is lost. The next run of each job sends again what its computer still has; "
            "put another disk in its place. Where another disk was away or lost before and is back, stop vaultd and "
            "run `vaultd rebuild DIR --index-only` once: copies of what lay here may lie there."
        )
    return f"Disk {name} is not lost any more: where it is mounted restart vaultd, else mount it first."
