"""How long a grant is good: until its end for the first use, and a day from there, so that a restore which was cut can
be finished.
"""

from vaultd.policy.clock_jump import is_alive

USED_LIFE_NS = 24 * 3600 * 1_000_000_000


def end_of_grant(expires_ns: int, first_used_ns: int) -> int:
    """`first_used_ns` is 0 before its first use."""
    return first_used_ns + USED_LIFE_NS if first_used_ns else expires_ns


def is_grant_good(created_ns: int, expires_ns: int, first_used_ns: int, now_ns: int) -> bool:
    """Neither before its begin, as invite codes: a clock that is set back makes no grant live longer."""
    return is_alive(first_used_ns or created_ns, end_of_grant(expires_ns, first_used_ns), now_ns)
