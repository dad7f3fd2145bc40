"""Safesets: commit, find again after a lost answer, the chain of roots, list."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import SAFESETS_PAGE
from protocol.messages import fields
from protocol.messages.fields import Message


class SafesetSummary(Message, frozen=True):
    number: fields.Count
    time_ns: fields.Nanoseconds
    complete: bool
    files: fields.Count
    protected_bytes: fields.Count
    new_bytes: fields.Count
    retention: fields.Text
    stored_at_ns: fields.Nanoseconds
    replicated_at_ns: fields.Nanoseconds | None
    verified_at_ns: fields.Nanoseconds | None
    restore_tested_at_ns: fields.Nanoseconds | None
    damaged: bool
    root_hash: fields.Hash
    distrusted: bool = False
    in_doubt: bool = False
    pinned: fields.Text = ""


class SafesetListRequest(Message, frozen=True):
    """`after` is the `next` of the answer before; without it the list begins."""

    computer: fields.Name
    job: fields.Name
    after: fields.Place | None = None


class SafesetListAnswer(Message, frozen=True):
    """`next` is nil where these are the last."""

    safesets: Annotated[list[SafesetSummary], Meta(max_length=SAFESETS_PAGE)]
    next: fields.Place | None


class SafesetCommitRequest(Message, frozen=True):
    run_id: fields.Id


class SafesetCommitAnswer(Message, frozen=True):
    sequence: fields.Count
    time_ns: fields.Nanoseconds
    countersignature: fields.Signature


class SafesetFindRequest(Message, frozen=True):
    job_id: fields.Id
    root_hash: fields.Hash


class SafesetFindAnswer(Message, frozen=True):
    sequence: fields.Count
    time_ns: fields.Nanoseconds
    countersignature: fields.Signature


class SafesetRootsRequest(Message, frozen=True):
    job_id: fields.Id
    after: fields.Count


class SafesetRootsAnswer(Message, frozen=True):
    """The roots stand in the raw part."""
