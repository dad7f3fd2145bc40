"""The scrub: everything that is stored is read from the disks and checked, and what damage hits."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import HITS_PAGE
from protocol.messages import fields
from protocol.messages.disk import SafesetHit
from protocol.messages.fields import Message


class ScrubPass(Message, frozen=True):
    """Through all containers. `places_damaged` are no records; `records_unused` are damaged and nothing uses them;
    `alarms`: what a disk gave other bytes of the second time; `unread`: containers that are out of reach.
    """

    number: fields.Count
    begin_ns: fields.Nanoseconds
    ended_ns: fields.Nanoseconds | None
    is_asked: bool
    containers: fields.Count
    bytes: fields.Count
    records: fields.Count
    records_damaged: fields.Count
    places_damaged: fields.Count
    records_unused: fields.Count
    alarms: fields.Count
    unread: fields.Count


class ScrubBeginRequest(Message, frozen=True):
    pass


class ScrubBeginAnswer(Message, frozen=True):
    """`number` of the pass."""

    number: fields.Count


class ScrubStateRequest(Message, frozen=True):
    pass


class ScrubStateAnswer(Message, frozen=True):
    """`going`: the pass that goes on, if one does, with how much it has to read in all; `last`: the last that ended.
    `in_doubt`: which safesets damage hits is being looked for.
    """

    going: ScrubPass | None
    last: ScrubPass | None
    containers_total: fields.Count
    bytes_total: fields.Count
    in_doubt: bool


class ScrubHitRequest(Message, frozen=True):
    """`after` is the `next` of the answer before."""

    after: fields.SafesetKey | None = None


class ScrubHitAnswer(Message, frozen=True):
    """Safesets that use damaged or lost records; `next` is nil after the last, and a page may be empty before it."""

    hits: Annotated[list[SafesetHit], Meta(max_length=HITS_PAGE)]
    next: fields.SafesetKey | None
