"""How long a restore order is good: a day, also for whoever began it and was cut, and longer for one that is carried
out all that time; and how many there are at most.
"""

from vaultd.policy.clock_jump import is_alive

ORDER_LIFE_NS = 24 * 3600 * 1_000_000_000
OPEN_MAX = 16  # of one computer at once
OPEN_IN_ACCOUNT_MAX = 128
HEARD_LIFE_NS = 60 * 24 * 3600 * 1_000_000_000  # of one whose agent still tells how far it is
ENDED_KEPT = 20  # of one computer, the newest


def is_order_good(created_ns: int, expires_ns: int, now_ns: int) -> bool:
    """Neither before its begin: a clock that is set back makes no order live longer."""
    return is_alive(created_ns, expires_ns, now_ns)


def is_order_over(expires_ns: int, now_ns: int) -> bool:
    """For good: a clock that was set back ends nothing."""
    return now_ns >= expires_ns


def is_heard_too_long(created_ns: int, now_ns: int) -> bool:
    """An agent that tells of it for ever does not keep its place, and the leave with it, for ever."""
    return now_ns >= created_ns + HEARD_LIFE_NS


def gives_leave(created_ns: int, expires_ns: int, now_ns: int, *, is_running: bool) -> bool:
    """Of an open order: one that is carried out gives leave until its end is told, or until nobody hears of it."""
    return is_alive(created_ns, created_ns + HEARD_LIFE_NS if is_running else expires_ns, now_ns)
