"""How long a restore order is good: a day, also for whoever began it and was cut; and how many there are at most."""

from vaultd.policy.clock_jump import is_alive

ORDER_LIFE_NS = 24 * 3600 * 1_000_000_000
OPEN_MAX = 16  # of one computer at once
OPEN_IN_ACCOUNT_MAX = 128  # their messages, of 64 KiB at most, are read with each look for one
HEARD_NS = 48 * 3600 * 1_000_000_000  # beyond that, of one whose agent still tells how far it is
ENDED_KEPT = 20  # of one computer, the newest


def is_order_good(created_ns: int, expires_ns: int, now_ns: int) -> bool:
    """Neither before its begin: a clock that is set back makes no order live longer."""
    return is_alive(created_ns, expires_ns, now_ns)


def is_order_over(expires_ns: int, now_ns: int) -> bool:
    """For good: a clock that was set back ends nothing."""
    return now_ns >= expires_ns


def is_heard_too_long(expires_ns: int, now_ns: int) -> bool:
    """An agent that tells of it for ever does not keep its place for ever."""
    return now_ns >= expires_ns + HEARD_NS
