"""The versions of the conversation that this program speaks; `hello` picks the highest that both sides know."""

from collections.abc import Iterable

PROTOCOL_VERSIONS: tuple[int, ...] = (1,)


def choose_version(offered: Iterable[int]) -> int | None:
    """The highest version that both sides speak, or None."""
    return max(set(offered) & set(PROTOCOL_VERSIONS), default=None)
