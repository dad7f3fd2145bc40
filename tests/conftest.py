"""Rules for the whole test run: what may be skipped, and that no promise was skipped."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
PROMISES = ROOT / "docs/promises.md"
SKIPPED: list[str] = []
# For models: `--hypothesis-profile=long`.
settings.register_profile("long", max_examples=300, deadline=None)
OUTCOMES: dict[str, str] = {}  # of the calls, by node id


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-promises", action="store_true", help="write the results into docs/promises.md")


def allowed_skips() -> set[str]:
    lines = (ROOT / "tests/allowed_skips.txt").read_text(encoding="utf-8").splitlines()
    return {line.split("\t")[0] for line in lines if line and not line.startswith("#")}


def promised_tests() -> list[str]:
    """Node ids of docs/promises.md, from the second column of its table."""
    text = PROMISES.read_text(encoding="utf-8")
    return re.findall(r"^\|[^|]+\| `(tests/[^`]+)` \|", text, re.MULTILINE)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = without_group(report.nodeid)
    if report.skipped and not hasattr(report, "wasxfail"):
        SKIPPED.append(name)
    if report.when == "call" or report.failed:
        OUTCOMES[name] = report.outcome


def without_group(node: str) -> str:
    """xdist adds `@GROUP` to the id of a test; what stands in the brackets of a parameter stays."""
    return re.sub(r"@[^]]+$", "", node)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    if session.config.getoption("--write-promises"):
        PROMISES.write_text(with_results(PROMISES.read_text(encoding="utf-8")), encoding="utf-8")
    promised = promised_tests()
    wrong = [
        name for name in SKIPPED if name not in allowed_skips() or any(name.startswith(promise) for promise in promised)
    ]
    if wrong:
        session.exitstatus = 1
        print("\nskipped without leave: " + ", ".join(wrong))


def with_results(page: str) -> str:
    """The page with the results of this run in its last column; rows whose tests did not run stay."""
    today = datetime.now(UTC).date()

    def row(match: re.Match[str]) -> str:
        name = match[2]
        found = {outcome for node, outcome in OUTCOMES.items() if node == name or node.startswith(f"{name}[")}
        if not found:
            return match[0]
        return f"{match[1]}{'passed' if found == {'passed'} else 'FAILED'} {today} |"

    return re.sub(r"^(\|[^|]+\| `(tests/[^`]+)` \|[^|]+\| )[^|]+\|$", row, page, flags=re.MULTILINE)
