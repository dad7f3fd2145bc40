"""Sizes are decimal, times are UTC and exact to the microsecond in JSON."""

import pytest

from tools.client.units import count_text, duration_text, elapsed_text, size_text, time_json, time_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (250 * 10**9, "250.0 GB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (60, "1:00 min"), (3599, "59:59 min"), (3660, "1:01 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (0.26, "0.3 s"), (9.94, "9.9 s"), (9.95, "10 s")])
def test_elapsed_times(seconds: float, text: str) -> None:
    assert elapsed_text(seconds) == text


def test_times() -> None:
    # `date -u -d @1000000000` says 2001-09-09 01:46:40.
    assert time_text(10**18) == "2001-09-09 01:46:40"
    assert time_json(10**18 + 123_456_789) == "2001-09-09T01:46:40.123456Z"


def test_what_did_not_happen() -> None:
    assert (time_text(None), time_text(0), time_json(None), time_json(0)) == ("-", "-", None, None)


def test_counts() -> None:
    assert count_text(1234567) == "1,234,567"
