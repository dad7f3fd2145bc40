"""Accounts in which the limit of safesets does not hold for older ones yet. Without a row it holds for all."""

from vaultd.catalog.database import View
from vaultd.catalog.rows import put, read
from vaultd.records import Change, LimitChange


def save_limit_change(account_id: bytes, change: LimitChange) -> list[Change]:
    return [put("limit_changes", account_id, change)]


def read_limit_change(view: View, account_id: bytes) -> LimitChange | None:
    return read(view, "limit_changes", account_id, LimitChange)


def remove_limit_change(account_id: bytes) -> list[Change]:
    return [("limit_changes", account_id, None)]
