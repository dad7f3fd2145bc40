"""Run keys under which nothing counts as present any more, although they open: what a suspect computer stored."""

from collections.abc import Iterable, Iterator

from vaultd.catalog.database import View
from vaultd.records import NO_ID, Change

KeyName = tuple[bytes, bytes]
"""Ids of keyring and key."""

_ID_BYTES = len(NO_ID)


def save_distrusted(account_id: bytes, keys: Iterable[KeyName]) -> list[Change]:
    return [("distrusted_keys", account_id + keyring_id + key_id, b"") for keyring_id, key_id in keys]


def remove_distrusted(account_id: bytes, keys: Iterable[KeyName]) -> list[Change]:
    return [("distrusted_keys", account_id + keyring_id + key_id, None) for keyring_id, key_id in keys]


def list_distrusted(view: View, account_id: bytes = b"", keyring_id: bytes = b"") -> Iterator[KeyName]:
    """Of the whole vault, of an account, or of a keyring."""
    for key, _ in view.scan("distrusted_keys", account_id + keyring_id):
        yield key[_ID_BYTES : 2 * _ID_BYTES], key[2 * _ID_BYTES :]
