"""Names of users and groups for manifest entries, looked up once each."""

import grp
import pwd
from functools import lru_cache


@lru_cache(4096)
def user_name(uid: int) -> str | None:
    try:
        return _text(pwd.getpwuid(uid).pw_name)
    except (KeyError, ValueError):  # ValueError: a name with a zero byte
        return None


@lru_cache(4096)
def group_name(gid: int) -> str | None:
    try:
        return _text(grp.getgrgid(gid).gr_name)
    except (KeyError, ValueError):  # ValueError: a name with a zero byte
        return None


@lru_cache(4096)
def user_number(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):  # ValueError: a name with a zero byte
        return None


@lru_cache(4096)
def group_number(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):  # ValueError: a name with a zero byte
        return None


def _text(name: str) -> str | None:
    """Without a name where its bytes are no text: the number says who it is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return None
    return name
