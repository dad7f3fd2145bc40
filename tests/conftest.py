"""Rules for the whole test run: what may be skipped, and that no promise was skipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SKIPPED: list[str] = []


def allowed_skips() -> set[str]:
    lines = (ROOT / "tests/allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    return {line.split("\t")[0] for line in lines if line and not line.startswith("#")}


def promised_tests() -> list[str]:
    """Node ids of docs/promises.md, from the second column of its table."""
    text = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
    return re.findall(r"^\|[^|]+\| `(tests/[^`]+)` \|", text, re.MULTILINE)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        SKIPPED.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    promised = promised_tests()
    wrong = [
        name for name in SKIPPED if name not in allowed_skips() or any(name.startswith(promise) for promise in promised)
    ]
    if wrong:
        session.exitstatus = 1
        print("\nskipped without leave: " + ", ".join(wrong))
