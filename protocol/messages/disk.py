"""The vault's disks, and which safesets one that is away or lost hits."""

from typing import Annotated, Literal

from msgspec import Meta

from protocol.limits import HITS_PAGE
from protocol.messages import fields
from protocol.messages.fields import Message


class DiskSummary(Message, frozen=True):
    """`number` is nil where only containers tell of the disk; sizes are 0 where it is not here."""

    number: fields.Count | None
    disk_id: fields.Id
    state: Literal["online", "offline", "lost"]
    path: fields.Text
    total_bytes: fields.Count
    free_bytes: fields.Count
    containers: fields.Count
    record_bytes: fields.Count


class SafesetHit(Message, frozen=True):
    account: fields.Text
    computer: fields.Text
    job: fields.Text
    number: fields.Count
    records: fields.Count
    at_least: bool


class DiskListRequest(Message, frozen=True):
    pass


class DiskListAnswer(Message, frozen=True):
    disks: Annotated[list[DiskSummary], Meta(max_length=1_024)]
    warnings: Annotated[list[fields.Text], Meta(max_length=1_024)]


class DiskHitRequest(Message, frozen=True):
    """`disk` is a number or an id in hexadecimal; `after` is the `next` of the answer before."""

    disk: fields.Name
    after: fields.SafesetKey | None = None


class DiskHitAnswer(Message, frozen=True):
    """`next` is nil after the last; a page may be empty and not the last."""

    hits: Annotated[list[SafesetHit], Meta(max_length=HITS_PAGE)]
    next: fields.SafesetKey | None


class DiskLostRequest(Message, frozen=True):
    """`undo`: it was declared too early, and is offline again."""

    disk: fields.Name
    undo: bool


class DiskLostAnswer(Message, frozen=True):
    disk: DiskSummary
