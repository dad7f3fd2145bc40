"""The vault's own figures."""

from typing import Annotated

from msgspec import Meta

from protocol.messages import fields
from protocol.messages.fields import Message


class DiskStatus(Message, frozen=True):
    disk_id: fields.Id
    number: fields.Count
    path: fields.Text
    total_bytes: fields.Count
    free_bytes: fields.Count


class VaultStatusRequest(Message, frozen=True):
    pass


class VaultStatus(Message, frozen=True):
    vault_id: fields.Id
    name: fields.Text
    place: fields.Text
    version: fields.Text
    started_ns: fields.Nanoseconds
    time_ns: fields.Nanoseconds
    accounts: fields.Count
    computers: fields.Count
    jobs: fields.Count
    safesets: fields.Count
    runs_active: fields.Count
    records: fields.Count
    record_bytes: fields.Count
    containers: fields.Count
    disks: Annotated[list[DiskStatus], Meta(max_length=1_024)]
    offline_disks: Annotated[list[fields.Text], Meta(max_length=1_024)]
    journal_number: fields.Count
    connections: fields.Count
    safesets_damaged: fields.Count = 0
    safesets_in_doubt: bool = False
    clock_doubted: bool = False
    jobs_frozen: fields.Count = 0


VaultStatusAnswer = VaultStatus


class ClockAcceptRequest(Message, frozen=True):
    pass


class ClockAcceptAnswer(Message, frozen=True):
    """The jump that was accepted."""

    jump_seconds: int
