"""Which times are too young to trust."""

import os

import pytest

from tools.agent.fingerprint import NEVER_THE_SAME, Fingerprint, fingerprint_of

BEGIN_NS = 1_700_000_000_000_000_000
MS = 1_000_000
S = 1_000 * MS


def status(mtime_ns: int, ctime_ns: int) -> os.stat_result:
    fields = [0o100644, 77, 1, 1, 0, 0, 5, 0, mtime_ns // S, ctime_ns // S]
    return os.stat_result(fields, {"st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns})


@pytest.mark.parametrize(
    ("mtime_age_ns", "ctime_age_ns", "is_trusted"),
    [
        (S + 1, S + 1, True),
        (51 * MS, 51 * MS, True),
        (S, 49 * MS, False),
        (49 * MS, S + 1, False),
        (S, -(S + 1), False),  # changed after the reading began, or a clock that is ahead
        (-(S + 1), S, True),  # a modification time in the future, which anybody may set
        (2 * S, 2 * S, False),  # whole seconds: a coarse file system
        (4 * S, 4 * S, True),
        (4 * S, 3 * S, False),
        (4 * S, 2 * S + 1, True),
    ],
)
def test_trust(mtime_age_ns: int, ctime_age_ns: int, is_trusted: bool) -> None:
    mtime_ns, ctime_ns = BEGIN_NS - mtime_age_ns, BEGIN_NS - ctime_age_ns
    expected = Fingerprint(5, mtime_ns, ctime_ns, 77) if is_trusted else NEVER_THE_SAME
    assert fingerprint_of(status(mtime_ns, ctime_ns), BEGIN_NS) == expected
