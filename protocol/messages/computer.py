"""Computers of one account."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import LIST_ITEMS_MAX
from protocol.messages import fields
from protocol.messages.fields import Message
from protocol.messages.job import JobSummary


class ComputerSummary(Message, frozen=True):
    computer_id: fields.Id
    name: fields.Name
    kind: fields.ComputerKind
    registered_ns: fields.Nanoseconds
    last_seen_ns: fields.Nanoseconds | None
    agent_key: fields.Text
    jobs: fields.Count
    removed_ns: fields.Nanoseconds | None


class ComputerInviteRequest(Message, frozen=True):
    """`kind` nil is "pc", or the kind of the computer that `replace` names: its agent's place is to be taken."""

    kind: fields.ComputerKind | None
    replace: fields.Name | None = None


class ComputerInviteAnswer(Message, frozen=True):
    secret: fields.Id
    expires_ns: fields.Nanoseconds


class ComputerListRequest(Message, frozen=True):
    pass


class ComputerListAnswer(Message, frozen=True):
    computers: Annotated[list[ComputerSummary], Meta(max_length=LIST_ITEMS_MAX)]


class ComputerShowRequest(Message, frozen=True):
    computer: fields.Name


class ComputerShowAnswer(Message, frozen=True):
    computer: ComputerSummary
    tls_key: fields.Certificate
    sealing_key: fields.SealingKey
    jobs: Annotated[list[JobSummary], Meta(max_length=LIST_ITEMS_MAX)]


class ComputerRemoveRequest(Message, frozen=True):
    computer: fields.Name


class ComputerRemoveAnswer(Message, frozen=True):
    removed_ns: fields.Nanoseconds
