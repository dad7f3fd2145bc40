"""When the hour was not passed, from figures that are made up."""

from __future__ import annotations

import json

import pytest

from benchmarks.tables import render
from tests.hour.__main__ import conclude
from tests.hour.computer import Deeds
from tests.hour.report import Counted, Report, Restored


def report(seconds: float = 3600.0) -> Report:
    """One that just reaches every goal."""
    counted = [Counted(20, 101_000, 50) for _ in range(3)]
    restored = Restored(safesets=40, provisional=1, files=9_000)
    return Report(
        8,
        seconds,
        *counted,
        chunks=100_000,
        unread=0,
        live=40,
        deeds=[Deeds(runs=99)],
        restored=restored,
        meanwhile=Restored(safesets=9),
    )


def recounted(collections: int = 20, records: int = 101_000, containers: int = 50) -> Report:
    """All three counts say so."""
    changed = report()
    changed.answered, changed.metered, changed.journaled = (Counted(collections, records, containers) for _ in range(3))
    return changed


def test_an_hour_that_reached_everything_is_passed() -> None:
    assert report().shortcomings() == []
    assert conclude(report()) == 0


@pytest.mark.parametrize("when", ["restored", "meanwhile"])
@pytest.mark.parametrize("what", ["missing", "different", "extra", "failed"])
def test_a_file_that_is_not_as_it_was_fails_the_hour(what: str, when: str, capsys: pytest.CaptureFixture[str]) -> None:
    failed = report()
    getattr(getattr(failed, when), what).append("job-3, safeset 7: dir-1/chunk-9")
    assert conclude(failed) == 1
    assert "job-3, safeset 7: dir-1/chunk-9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("few", "words"),
    [
        (recounted(collections=19), "19 finished collections, the goal is 20"),
        (recounted(containers=49), "49 moved containers, the goal is 50"),
    ],
)
def test_too_few_collections_or_moves_fail_the_hour(few: Report, words: str) -> None:
    assert few.shortcomings() == [words]
    assert conclude(few) == 1


def test_too_few_dropped_chunks_fail_the_hour() -> None:
    few = report()
    few.chunks = 99_999
    assert few.shortcomings() == ["99,999 dropped chunks, the goal is 100,000"]


def test_a_collection_that_left_a_keyring_does_not_count() -> None:
    few = report()
    few.left.append("a list is damaged")
    assert few.shortcomings() == ["19 finished collections, the goal is 20"]


@pytest.mark.parametrize("who", ["answered", "metered", "journaled"])
@pytest.mark.parametrize("what", ["collections", "records", "containers"])
def test_counts_that_do_not_agree_fail_the_hour(who: str, what: str) -> None:
    failed = report()
    count = getattr(failed, who)
    setattr(count, what, getattr(count, what) + 1)
    assert [one.split(":")[0] for one in failed.shortcomings()] == [what]


def test_a_drop_that_nobody_could_look_at_fails_the_hour() -> None:
    failed = report()
    failed.unread = 1
    assert failed.shortcomings() == ["1 dropped records could not be looked at"]


@pytest.mark.parametrize("compared", [0, 39, 41])
def test_a_live_safeset_that_was_not_compared_fails_the_hour(compared: int) -> None:
    failed = report()
    failed.restored.safesets = compared
    assert failed.shortcomings() == [f"{compared} of 40 live safesets were compared"]


def test_an_hour_without_live_safesets_is_not_passed() -> None:
    failed = report()
    failed.live = failed.restored.safesets = 0
    assert failed.shortcomings() == ["0 of 0 live safesets were compared"]


@pytest.mark.parametrize("what", ["findings", "unfinished", "unexpected"])
def test_a_finding_of_the_check_and_what_was_not_to_happen_fail_the_hour(what: str) -> None:
    failed = report()
    getattr(failed, what).append("record 12 is damaged")
    assert failed.shortcomings() == ["record 12 is damaged"]


def test_what_a_computer_did_not_expect_fails_the_hour() -> None:
    failed = report()
    failed.deeds[0].unexpected.append("job-2: a run ended with 1")
    assert failed.shortcomings() == ["job-2: a run ended with 1"]


def test_less_than_an_hour_is_judged_by_one_of_each() -> None:
    short = report(seconds=3599.0)
    short.answered, short.metered, short.journaled = (Counted(1, 1, 1) for _ in range(3))
    short.chunks = 1
    assert short.shortcomings() == []
    short.chunks = 0
    assert short.shortcomings() == ["0 dropped chunks, the goal is 1"]


def test_the_table_of_the_page_says_the_same() -> None:
    shown = report()
    shown.restored.missing.append("job-3, safeset 7: dir-1/chunk-9")
    shown.meanwhile.missing.append("job-3, safeset 6: dir-1/chunk-8")
    shown.findings.append("record 12 is damaged")
    machine = {"processor": "", "cores": 2}
    origin = {"scenario": "hour", "start": "", "commit": "", "versions": {}, "machine": machine}
    table = render(origin | {"samples": json.loads(json.dumps(shown.samples()))})
    for row in (
        "| agents, seconds | 8, 3,600 |",
        "| finished collections (goal 20) | 20 |",
        "| chunks dropped (goal 100,000) | 100,000 |",
        "| containers moved (goal 50) | 50 |",
        "| live safesets restored and compared | 40 of 40 |",
        "| files missing | 2 |",
        "| findings of `vaultd check --read-data` | 1 |",
    ):
        assert row in table
