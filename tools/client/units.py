"""Figures for people (sizes, durations, times) beside the exact forms that `--json` carries.

Sizes are decimal (1 GB = 10^9 bytes), as packages are; times are UTC.
"""

from datetime import UTC, datetime

_NS_PER_SECOND = 1_000_000_000
_SIZE_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def size_text(size_bytes: int) -> str:
    if size_bytes < 1000:
        return f"{size_bytes} B"
    value, power = size_bytes / 1000, 0
    # 999.95 would be written as 1000.0.
    while value >= 999.95 and power + 1 < len(_SIZE_UNITS):
        value, power = value / 1000, power + 1
    return f"{value:.1f} {_SIZE_UNITS[power]}"


def count_text(count: int) -> str:
    return f"{count:,}"


def files_text(count: int) -> str:
    return counted_text(count, "file")


def counted_text(count: int, noun: str) -> str:
    return f"{count_text(count)} {noun}{'' if count == 1 else 's'}"


def elapsed_text(seconds: float) -> str:
    """How long something took: short times with tenths."""
    return f"{seconds:.1f} s" if seconds < 9.95 else duration_text(seconds)


def duration_text(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h"


def time_text(time_ns: int | None) -> str:
    """For tables; 0 and None mean that it did not happen."""
    return _moment(time_ns).strftime("%Y-%m-%d %H:%M:%S") if time_ns else "-"


def time_json(time_ns: int | None) -> str | None:
    """RFC 3339 in UTC with microseconds; 0 and None mean that it did not happen."""
    return _moment(time_ns).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if time_ns else None


def _moment(time_ns: int) -> datetime:
    seconds, rest_ns = divmod(time_ns, _NS_PER_SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
