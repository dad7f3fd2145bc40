"""The versions of the conversation that this program speaks; `hello` picks the highest that both sides know.

Version 2 says which requests are taken in the order of asking (`turns`); in version 1 none is.
"""

from collections.abc import Iterable

VERSION_IN_TURN = 2
PROTOCOL_VERSIONS: tuple[int, ...] = (VERSION_IN_TURN, 1)


def choose_version(offered: Iterable[int]) -> int | None:
    """The highest version that both sides speak, or None."""
    return max(set(offered) & set(PROTOCOL_VERSIONS), default=None)
