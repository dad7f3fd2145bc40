"""Invite codes, found by BLAKE3 of their secret."""

from blake3 import blake3

from vaultd.catalog.database import View
from vaultd.catalog.rows import put, read
from vaultd.records import Change, Invite


def save_invite(invite: Invite, secret: bytes) -> list[Change]:
    return [put("invites", blake3(secret).digest(), invite)]


def find_invite(view: View, secret: bytes) -> Invite | None:
    return read(view, "invites", blake3(secret).digest(), Invite)
