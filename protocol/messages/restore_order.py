"""Restore orders: what an administrator has the agent of a computer restore. The vault passes them on sealed."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import ORDERS_SHOWN_MAX
from protocol.messages import fields
from protocol.messages.fields import Message
from protocol.messages.run import RunProgress


class RestoreOrderSummary(Message, frozen=True):
    """`exit_code` nil: it has none, because it did not end, or not by the computer's word. `code` is that of the error
    which ended it, with no name of a file in it.
    """

    number: fields.Count
    computer: fields.Text
    job: fields.Text
    to: fields.Text
    state: fields.OrderState
    created_ns: fields.Nanoseconds
    expires_ns: fields.Nanoseconds
    begin_ns: fields.Nanoseconds | None
    end_ns: fields.Nanoseconds | None
    exit_code: fields.Count | None
    code: fields.Text
    files: fields.Count
    bytes: fields.Count
    left: fields.Count
    warnings: fields.Count


class RestoreOrderRequest(Message, frozen=True):
    """`to` nil: on the computer itself; else another one gets leave to, as long as the order is good."""

    computer: fields.Name
    job: fields.Name
    to: fields.Name | None
    message: fields.SealedOrder


class RestoreOrderAnswer(Message, frozen=True):
    order: RestoreOrderSummary
    is_connected: bool


class RestoreOrdersRequest(Message, frozen=True):
    pass


class RestoreOrdersAnswer(Message, frozen=True):
    orders: Annotated[list[RestoreOrderSummary], Meta(max_length=ORDERS_SHOWN_MAX)]


class RestoreStateRequest(Message, frozen=True):
    number: fields.Count


class RestoreStateAnswer(Message, frozen=True):
    """`is_connected`: whether the service of the computer that is to restore waits for work."""

    order: RestoreOrderSummary
    is_connected: bool
    progress: RunProgress | None


class RestoreCancelRequest(Message, frozen=True):
    number: fields.Count


class RestoreCancelAnswer(Message, frozen=True):
    order: RestoreOrderSummary


class RestoreTakeRequest(Message, frozen=True):
    order_id: fields.Id


class RestoreTakeAnswer(Message, frozen=True):
    job_id: fields.Id
    message: fields.SealedOrder


class RestoreProgressRequest(Message, frozen=True):
    order_id: fields.Id
    files: fields.Count
    bytes: fields.Count
    bytes_total: fields.Count | None = None


class RestoreProgressAnswer(Message, frozen=True):
    pass


class RestoreEndRequest(Message, frozen=True):
    order_id: fields.Id
    outcome: fields.OrderOutcome
    exit_code: fields.ExitCode
    code: fields.Code
    files: fields.Count
    bytes: fields.Count
    left: fields.Count
    warnings: fields.Count


class RestoreEndAnswer(Message, frozen=True):
    pass
