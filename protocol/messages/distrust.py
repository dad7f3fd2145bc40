"""Distrust of a computer's runs since a time, and the safesets that lean on what they stored."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import HITS_PAGE
from protocol.messages import fields
from protocol.messages.fields import Message


class LeaningSafeset(Message, frozen=True):
    """`is_made`: by one of the runs; `records`: how many of what they stored it uses."""

    computer: fields.Text
    job: fields.Text
    number: fields.Count
    stored_at_ns: fields.Nanoseconds
    is_made: bool
    records: fields.Count
    at_least: bool


class ComputerDistrustRequest(Message, frozen=True):
    """Runs that were not over before `since_ns`; `undo`: they are trusted again; `dry_run`: nothing changes."""

    computer: fields.Name
    since_ns: fields.Nanoseconds
    undo: bool
    dry_run: bool


class ComputerDistrustAnswer(Message, frozen=True):
    runs: fields.Count
    keys: fields.Count


class ComputerLeaningRequest(Message, frozen=True):
    """`after` is the `next` of the answer before."""

    computer: fields.Name
    since_ns: fields.Nanoseconds
    after: fields.SafesetKey | None = None


class ComputerLeaningAnswer(Message, frozen=True):
    """`next` is nil after the last; a page may be empty and not the last."""

    safesets: Annotated[list[LeaningSafeset], Meta(max_length=HITS_PAGE)]
    next: fields.SafesetKey | None
