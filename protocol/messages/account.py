"""Accounts, as the operator sees them."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import LIST_ITEMS_MAX
from protocol.messages import fields
from protocol.messages.computer import ComputerSummary
from protocol.messages.fields import Message


class AccountSummary(Message, frozen=True):
    account_id: fields.Id
    name: fields.Name
    created_ns: fields.Nanoseconds
    packages: fields.Count
    computers: fields.Count
    jobs: fields.Count
    safesets: fields.Count
    protected_bytes: fields.Count


class AccountCreateRequest(Message, frozen=True):
    name: fields.Name


class AccountCreateAnswer(Message, frozen=True):
    account_id: fields.Id
    name: fields.Name
    token: fields.Token


class AccountListRequest(Message, frozen=True):
    pass


class AccountListAnswer(Message, frozen=True):
    accounts: Annotated[list[AccountSummary], Meta(max_length=LIST_ITEMS_MAX)]


class AccountShowRequest(Message, frozen=True):
    name: fields.Name


class AccountShowAnswer(Message, frozen=True):
    account: AccountSummary
    computers: Annotated[list[ComputerSummary], Meta(max_length=LIST_ITEMS_MAX)]
