"""Restore orders of an account by their number, which people know them by, counted from 1; beside them the number by
the id, and the message, which is large, and so is read only where it is handed out.
"""

from collections.abc import Iterator
from contextlib import suppress

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, number_key, put, read
from vaultd.errors import Conflict, Damaged
from vaultd.records import Change, RestoreOrder


def save_order(account_id: bytes, order: RestoreOrder) -> list[Change]:
    key = number_key(order.number)
    return [put("restore_orders", account_id + key, order), ("order_numbers", account_id + order.order_id, key)]


def update_order(account_id: bytes, order: RestoreOrder) -> list[Change]:
    """One that is saved already, under its id too."""
    return [put("restore_orders", account_id + number_key(order.number), order)]


def remove_order(account_id: bytes, order: RestoreOrder) -> list[Change]:
    gone: list[Change] = [
        ("restore_orders", account_id + number_key(order.number), None),
        ("order_numbers", account_id + order.order_id, None),
    ]
    return [*gone, *remove_message(account_id, order.order_id)]


def save_message(account_id: bytes, order_id: bytes, wrapped: bytes) -> list[Change]:
    """The sealed message, wrapped under the job's erase key: there as long as the order can be taken."""
    return [("order_messages", account_id + order_id, wrapped)]


def remove_message(account_id: bytes, order_id: bytes) -> list[Change]:
    return [("order_messages", account_id + order_id, None)]


def read_message(view: View, account_id: bytes, order_id: bytes) -> bytes | None:
    return view.get("order_messages", account_id + order_id)


def has_message(view: View, account_id: bytes, order_id: bytes) -> bool:
    """Also one that is damaged."""
    return view.has("order_messages", account_id + order_id)


def read_order(view: View, account_id: bytes, number: int) -> RestoreOrder | None:
    return read(view, "restore_orders", account_id + number_key(number), RestoreOrder)


def find_order(view: View, account_id: bytes, order_id: bytes) -> RestoreOrder | None:
    number = view.get("order_numbers", account_id + order_id)
    return None if number is None else read(view, "restore_orders", account_id + number, RestoreOrder)


def list_orders_back(view: View, account_id: bytes) -> Iterator[RestoreOrder]:
    """Newest first. Few: those that ended are kept for a while only."""
    for key, value in view.scan_back("restore_orders", account_id):
        yield decode("restore_orders", key, value, RestoreOrder)


def readable_orders(view: View, account_id: bytes = b"") -> Iterator[tuple[bytes, RestoreOrder]]:
    """Of one account or all, with the account's id. One that cannot be read is told to whoever asks for it, and keeps
    no other from its end.
    """
    for key in view.keys("restore_orders", account_id):
        with suppress(Damaged, Conflict):  # damaged, or of a later version
            order = read(view, "restore_orders", key, RestoreOrder)
            if order is not None:
                yield key[:-8], order
