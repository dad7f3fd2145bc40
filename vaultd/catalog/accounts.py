"""Accounts, by id and by name; names are unique in the vault whatever their case."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, name_key, put, read
from vaultd.records import Account, Change


def save_account(account: Account) -> list[Change]:
    return [
        put("accounts", account.account_id, account),
        ("account_names", name_key(account.name), account.account_id),
    ]


def update_account(account: Account) -> list[Change]:
    """For one whose name stays."""
    return [put("accounts", account.account_id, account)]


def read_account(view: View, account_id: bytes) -> Account | None:
    return read(view, "accounts", account_id, Account)


def find_account(view: View, name: str) -> Account | None:
    account_id = view.get("account_names", name_key(name))
    return None if account_id is None else read_account(view, account_id)


def list_accounts(view: View) -> Iterator[Account]:
    for key, value in view.scan("accounts"):
        yield decode("accounts", key, value, Account)
