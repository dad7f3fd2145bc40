"""Restore orders of an account by their number, which people know them by, counted from 1."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, number_key, put, read
from vaultd.records import Change, RestoreOrder


def save_order(account_id: bytes, order: RestoreOrder) -> list[Change]:
    return [put("restore_orders", account_id + number_key(order.number), order)]


def remove_order(account_id: bytes, order: RestoreOrder) -> list[Change]:
    return [("restore_orders", account_id + number_key(order.number), None)]


def read_order(view: View, account_id: bytes, number: int) -> RestoreOrder | None:
    return read(view, "restore_orders", account_id + number_key(number), RestoreOrder)


def list_orders_back(view: View, account_id: bytes) -> Iterator[RestoreOrder]:
    """Newest first. Few: those that ended are kept for a while only."""
    for key, value in view.scan_back("restore_orders", account_id):
        yield decode("restore_orders", key, value, RestoreOrder)


def find_order(view: View, account_id: bytes, order_id: bytes) -> RestoreOrder | None:
    return next((one for one in list_orders_back(view, account_id) if one.order_id == order_id), None)


def read_all_orders(view: View) -> Iterator[tuple[bytes, RestoreOrder]]:
    """Of all accounts, with the account's id."""
    for key, value in view.scan("restore_orders"):
        yield key[:-8], decode("restore_orders", key, value, RestoreOrder)
