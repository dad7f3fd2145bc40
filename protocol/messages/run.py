"""Runs: one execution of a job, from its begin to its end."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import CODES_MAX
from protocol.messages import fields
from protocol.messages.fields import Message


class RunSummary(Message, frozen=True):
    run_id: fields.Id
    begin_ns: fields.Nanoseconds
    end_ns: fields.Nanoseconds | None
    outcome: fields.Text
    files: fields.Count
    new_chunks: fields.Count
    new_bytes: fields.Count
    warnings: fields.Count
    sequence: fields.Count | None


class RunBeginRequest(Message, frozen=True):
    job_id: fields.Id
    run_id: fields.Id
    base: fields.Hash | None = None


class RunBeginAnswer(Message, frozen=True):
    base_known: bool
    timeline: fields.Count
    head_sequence: fields.Count
    head_hash: fields.Hash
    time_ns: fields.Nanoseconds


class RunKeyRequest(Message, frozen=True):
    run_id: fields.Id
    sealed_key: fields.SealedKey


class RunKeyAnswer(Message, frozen=True):
    pass


class RunProgress(Message, frozen=True):
    """What a run's agent told last: what the scan has protected, and the whole of it, nil while nobody knows it."""

    files: fields.Count
    bytes: fields.Count
    bytes_total: fields.Count | None
    time_ns: fields.Nanoseconds


class RunProgressRequest(Message, frozen=True):
    run_id: fields.Id
    files: fields.Count
    bytes: fields.Count
    bytes_total: fields.Count | None = None


class RunProgressAnswer(Message, frozen=True):
    pass


class RunEndRequest(Message, frozen=True):
    run_id: fields.Id
    outcome: fields.Outcome
    files: fields.Count
    new_chunks: fields.Count
    new_bytes: fields.Count
    warnings: fields.Count
    codes: Annotated[dict[fields.Name, fields.Count], Meta(max_length=CODES_MAX)]


class RunEndAnswer(Message, frozen=True):
    pass
