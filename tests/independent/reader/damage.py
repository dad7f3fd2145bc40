"""The one error of this reader: bytes that are not what docs/format.md says."""

from __future__ import annotations


class Damage(Exception):
    """Stored bytes that break a rule of the page; the sentence names the rule."""


class WrongPassword(Exception):
    """The commitment of a slot does not fit the password or the recovery code."""


def require(fits: object, sentence: str) -> None:
    if not fits:
        raise Damage(sentence)


def require_zero(reserved: bytes, where: str) -> None:
    require(not any(reserved), f"{where} holds bytes that must be zero")
