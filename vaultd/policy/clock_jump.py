"""Whether the wall clock jumped, and what lives only for a while by a clock that may jump."""

from dataclasses import dataclass

# Clocks are corrected by seconds all the time; where it is more than this, people should know.
BOUND_SECONDS = 300
# A vault that was down for longer is asked about its clock before anything expires or is purged.
GAP_BOUND_SECONDS = 30 * 24 * 3600
GAP_BOUND_SECONDS_MIN = 24 * 3600  # however short a time deleted safesets can be brought back
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Look:
    """At both clocks at once."""

    wall_ns: int
    monotonic_seconds: float


def jump_between(before: Look, now: Look) -> int:
    """Seconds by which the wall clock went further than time passed, negative for back; 0 within the bound."""
    wall_seconds = (now.wall_ns - before.wall_ns) / _SECOND_NS
    return _beyond_bound(wall_seconds - (now.monotonic_seconds - before.monotonic_seconds))


def jump_at_start(entry_ns: int, start_ns: int, undelete_seconds: int) -> int:
    """Seconds by which a start lies before the last entry of the journal (negative), or so long after it that the clock
    may be wrong as well; 0 for any other start, because nobody knows how long the vault was down. Too long is also the
    time in which what was deleted can be brought back: with a clock that is ahead by that, all of it would be purged.
    """
    seconds = (start_ns - entry_ns) / _SECOND_NS
    bound_seconds = min(GAP_BOUND_SECONDS, max(undelete_seconds, GAP_BOUND_SECONDS_MIN))
    return round(seconds) if seconds >= bound_seconds else _beyond_bound(min(seconds, 0))


def is_alive(made_ns: int, expires_ns: int, now_ns: int) -> bool:
    """Not before it was made either: a clock that is set back must not make live longer what should end."""
    return made_ns - BOUND_SECONDS * _SECOND_NS <= now_ns < expires_ns


def _beyond_bound(seconds: float) -> int:
    return round(seconds) if abs(seconds) > BOUND_SECONDS else 0
