"""Which times are too young to trust."""

import os
from pathlib import Path

import pytest

from tools.agent.scan.fingerprint import NEVER_THE_SAME, Fingerprint, fingerprint_of, write_back_ns

BEGIN_NS = 1_700_000_000_000_000_000
MS = 1_000_000
S = 1_000 * MS


def status(mtime_ns: int, ctime_ns: int, mode: int = 0o100644, size: int = 5) -> os.stat_result:
    fields = [mode, 77, 1, 1, 0, 0, size, 0, mtime_ns // S, ctime_ns // S]
    return os.stat_result(fields, {"st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns})


@pytest.mark.parametrize(
    ("mtime_age_ns", "ctime_age_ns", "is_trusted"),
    [
        (61 * S, S + 1, True),
        (61 * S + 1, 51 * MS, True),
        (61 * S, 49 * MS, False),
        (60 * S, S + 1, False),  # what is mapped may change until the kernel has written it
        (-60 * S, S + 1, False),
        (61 * S, -(S + 1), False),  # changed after the reading began, or a clock that is ahead
        (-(61 * S + 1), S, True),  # a modification time in the future, which anybody may set
        (61 * S, 2 * S, False),  # whole seconds: a coarse file system
        (61 * S, 4 * S, True),
        (61 * S, 3 * S, False),
        (61 * S, 2 * S + 1, True),
    ],
)
def test_trust(mtime_age_ns: int, ctime_age_ns: int, is_trusted: bool) -> None:
    mtime_ns, ctime_ns = BEGIN_NS - mtime_age_ns, BEGIN_NS - ctime_age_ns
    expected = Fingerprint(5, mtime_ns, ctime_ns, 77) if is_trusted else NEVER_THE_SAME
    assert fingerprint_of(status(mtime_ns, ctime_ns), BEGIN_NS) == expected


@pytest.mark.parametrize(
    ("expire", "interval", "seconds"),
    [
        ("3000\n", "500\n", 60),
        ("60000\n", "500\n", 610),
        ("3000\n", "60000\n", 1230),
        ("3000", "0", 2**63 // S),  # nobody looks for pages to write
        ("?", "500", 60),
        (None, None, 60),
    ],
)
def test_the_time_until_a_page_is_written_is_that_of_the_system(
    tmp_path: Path, expire: str | None, interval: str | None, seconds: int
) -> None:
    for name, text in (("expire", expire), ("writeback", interval)):
        if text is not None:
            (tmp_path / f"dirty_{name}_centisecs").write_text(text)
    assert write_back_ns(tmp_path) // S == seconds


@pytest.mark.parametrize(("mode", "size"), [(0o040755, 5), (0o120777, 5), (0o100644, 0)])
@pytest.mark.parametrize(("age_ns", "is_trusted"), [(51 * MS, True), (49 * MS, False)])
def test_what_nobody_can_map_is_trusted_sooner(mode: int, size: int, age_ns: int, is_trusted: bool) -> None:
    time_ns = BEGIN_NS - age_ns
    expected = Fingerprint(size, time_ns, time_ns, 77) if is_trusted else NEVER_THE_SAME
    assert fingerprint_of(status(time_ns, time_ns, mode, size), BEGIN_NS) == expected
