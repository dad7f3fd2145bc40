"""Retention: types, the limit, what goes when, and what an administrator decides about one safeset or job."""

from typing import Annotated, Literal

from msgspec import Meta

from protocol.limits import LIST_ITEMS_MAX
from protocol.messages import fields
from protocol.messages.fields import Message

OverLimit = Literal["expire", "keep-and-bill"]
Reason = Annotated[str, Meta(min_length=1, max_length=200)]


class RetentionSummary(Message, frozen=True):
    """`set_ns` nil: a default. `older_days` and `older_copies` hold for what was made before a change that waits to be
    confirmed, which is possible from `confirm_ns` on; nil where nothing waits.
    """

    name: fields.Name
    days: fields.Count
    copies: fields.Count
    set_ns: fields.Nanoseconds | None
    older_days: fields.Count
    older_copies: fields.Count
    confirm_ns: fields.Nanoseconds | None


class RetentionSetRequest(Message, frozen=True):
    name: fields.Name
    days: Annotated[int, Meta(ge=0, le=365)]
    copies: Annotated[int, Meta(ge=0, le=44)]


class RetentionSetAnswer(Message, frozen=True):
    type: RetentionSummary


class RetentionConfirmRequest(Message, frozen=True):
    name: fields.Name


class RetentionConfirmAnswer(Message, frozen=True):
    type: RetentionSummary


class RetentionLimitRequest(Message, frozen=True):
    over_limit: OverLimit


class LimitSummary(Message, frozen=True):
    """`confirm_ns`: from when on a limit that came back can be confirmed for older safesets; nil: nothing waits."""

    over_limit: OverLimit
    confirm_ns: fields.Nanoseconds | None


class RetentionLimitAnswer(Message, frozen=True):
    limit: LimitSummary


class RetentionConfirmLimitRequest(Message, frozen=True):
    pass


class RetentionConfirmLimitAnswer(Message, frozen=True):
    limit: LimitSummary


class RetentionListRequest(Message, frozen=True):
    pass


class RetentionListAnswer(Message, frozen=True):
    types: Annotated[list[RetentionSummary], Meta(max_length=LIST_ITEMS_MAX)]
    limit: LimitSummary


class SimulatedSafeset(Message, frozen=True):
    """`reason`: why it stays or goes now; `is_held`: a freeze alone keeps it. `goes_ns` and `goes_reason`: when and why
    it will go; nil and empty where it stays for a year to come.
    """

    number: fields.Count
    stored_at_ns: fields.Nanoseconds
    type: fields.Text
    pinned: bool
    reason: fields.Code
    is_held: bool
    goes_ns: fields.Nanoseconds | None
    goes_reason: fields.Code


class RetentionSimulateRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name


class RetentionSimulateAnswer(Message, frozen=True):
    safesets: Annotated[list[SimulatedSafeset], Meta(max_length=LIST_ITEMS_MAX)]


class SafesetPinRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name
    number: fields.Count
    reason: Reason


class SafesetPinAnswer(Message, frozen=True):
    pass


class SafesetUnpinRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name
    number: fields.Count


class SafesetUnpinAnswer(Message, frozen=True):
    pass


class SafesetDeleteRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name
    number: fields.Count


class SafesetDeleteAnswer(Message, frozen=True):
    """Until when it can be brought back."""

    until_ns: fields.Nanoseconds


class SafesetUndeleteRequest(Message, frozen=True):
    """It is pinned with the reason."""

    computer: fields.Name
    job: fields.Name
    number: fields.Count
    reason: Reason


class SafesetUndeleteAnswer(Message, frozen=True):
    pass


class EndedSafeset(Message, frozen=True):
    """`until_ns`: until when it can be brought back; nil once it was purged."""

    number: fields.Count
    stored_at_ns: fields.Nanoseconds
    state: Literal["expired", "deleted", "purged"]
    reason: fields.Code
    ended_ns: fields.Nanoseconds
    until_ns: fields.Nanoseconds | None


class SafesetEndedRequest(Message, frozen=True):
    computer: fields.Name
    job: fields.Name


class SafesetEndedAnswer(Message, frozen=True):
    """The newest thousand, in the order of their numbers."""

    safesets: Annotated[list[EndedSafeset], Meta(max_length=1_000)]


class JobFreezeRequest(Message, frozen=True):
    """`reason` nil: it is frozen no more."""

    computer: fields.Name
    job: fields.Name
    reason: Reason | None


class JobFreezeAnswer(Message, frozen=True):
    pass
