"""Identities that sign in with a token. The vault keeps BLAKE3 of the token: 256 random bits need no slow hash."""

from blake3 import blake3

from vaultd.catalog.database import View
from vaultd.catalog.rows import put, read
from vaultd.records import Change, Identity


def save_identity(identity: Identity, token: bytes) -> list[Change]:
    key = identity.account_id + identity.identity_id
    return [put("identities", key, identity), ("tokens", blake3(token).digest(), key)]


def find_identity(view: View, token: bytes) -> Identity | None:
    key = view.get("tokens", blake3(token).digest())
    return None if key is None else read(view, "identities", key, Identity)
