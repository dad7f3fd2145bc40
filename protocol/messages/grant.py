"""Grants: leave for a computer to restore a job of another one, once."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import LIST_ITEMS_MAX
from protocol.messages import fields
from protocol.messages.fields import Message


class GrantSummary(Message, frozen=True):
    """`first_used_ns` nil: not used yet; `end_ns` is that of the first use, or a day after it."""

    computer: fields.Text
    job: fields.Text
    to: fields.Text
    created_ns: fields.Nanoseconds
    end_ns: fields.Nanoseconds
    first_used_ns: fields.Nanoseconds | None
    is_good: bool


class SafesetGrantRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name
    to: fields.Name
    days: Annotated[int, Meta(ge=1, le=365)]


class SafesetGrantAnswer(Message, frozen=True):
    grant: GrantSummary


class SafesetGrantsRequest(Message, frozen=True):
    pass


class SafesetGrantsAnswer(Message, frozen=True):
    grants: Annotated[list[GrantSummary], Meta(max_length=LIST_ITEMS_MAX)]


class SafesetRevokeRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name
    to: fields.Name


class SafesetRevokeAnswer(Message, frozen=True):
    pass
