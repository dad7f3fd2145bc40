"""Collections: what no safeset uses any more is dropped, and its space given back."""

from protocol.messages import fields
from protocol.messages.fields import Message


class CollectionStartRequest(Message, frozen=True):
    """`is_trial`: nothing is dropped, it is said what would be."""

    is_trial: bool


class CollectionStartAnswer(Message, frozen=True):
    """The number of the collection that was asked for, since the vault's start at `started_ns`."""

    number: fields.Count
    started_ns: fields.Nanoseconds


class CollectionStateRequest(Message, frozen=True):
    """`number`: of one that was asked for, 0 for the newest."""

    number: fields.Count


class CollectionStateAnswer(Message, frozen=True):
    """Of the one that was asked for, or, where that has not begun or ended long ago, of the newest that began since the
    vault's start at `started_ns`. `phase`: none, marking, moving or ended.
    `left`: why keyrings were left as they are; `problem`: why it did not come to its end.
    """

    started_ns: fields.Nanoseconds
    number: fields.Count
    is_trial: bool
    phase: fields.Text
    begin_ns: fields.Nanoseconds | None
    end_ns: fields.Nanoseconds | None
    keyrings: fields.Count
    keyrings_done: fields.Count
    keyrings_left: fields.Count
    left: fields.Text
    records: fields.Count
    records_swept: fields.Count
    records_marked: fields.Count
    records_dropped: fields.Count
    bytes_dropped: fields.Count
    keys_dropped: fields.Count
    containers: fields.Count
    containers_moved: fields.Count
    bytes_moved: fields.Count
    bytes_given_back: fields.Count
    problem: fields.Text
