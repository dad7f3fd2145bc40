"""Retention types of an account, by name; names are unique in it whatever their case."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, name_key, put, read
from vaultd.records import Change, RetentionType


def save_type(account_id: bytes, type_: RetentionType) -> list[Change]:
    return [put("retention_types", account_id + name_key(type_.name), type_)]


def read_type(view: View, account_id: bytes, name: str) -> RetentionType | None:
    return read(view, "retention_types", account_id + name_key(name), RetentionType)


def list_types(view: View, account_id: bytes) -> Iterator[RetentionType]:
    for key, value in view.scan("retention_types", account_id):
        yield decode("retention_types", key, value, RetentionType)
