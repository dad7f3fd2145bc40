"""A rebuild that makes a marked directory a disk leaves it as a start does: with journal and erase keys."""

from pathlib import Path

import pytest
from blake3 import blake3

from tests.vaultd.operations.disk_case import Case
from vaultd.operations import dead_keys
from vaultd.operations.rebuild import RebuildReport, rebuild_vault
from vaultd.store.disk_door import SystemDoor
from vaultd.store.findings import Severity
from vaultd.store.index.reading_progress import tell_nobody


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


def rebuild(case: Case, *, index_only: bool) -> RebuildReport:
    return rebuild_vault(case.site.config, case.site.clock, SystemDoor(), tell_nobody, index_only=index_only)


def erase_keys(disk: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (disk / "erase-keys").glob("*.key")}


@pytest.mark.parametrize("index_only", [False, True])
def test_the_new_disk_has_the_erase_keys_when_it_returns(case: Case, index_only: bool) -> None:
    case.take_away(1)
    case.declare("1")
    (case.disk(1) / "disk.new").touch()
    report = rebuild(case, index_only=index_only)
    written = erase_keys(case.disk(1))
    assert written == erase_keys(case.disk(0)) != {}
    told = [
        one for one in report.findings if one.place in {str(case.disk(1) / "erase-keys" / name) for name in written}
    ]
    assert [one.severity for one in told] == [Severity.warning] * len(written)
    case.take_away(0)  # the other one dies before the next start
    case.start()
    assert case.fetch(case.old) == case.old
    agent, job = case.backed_up.agent.identity, case.backed_up.job
    assert dead_keys.judge_keys(case.site.vault, agent, job.job_id).dead == []  # nothing is judged while it is away
    case.stop()
    case.declare("0")
    case.start()
    assert dead_keys.judge_keys(case.site.vault, agent, job.job_id).dead == []
    case.stop()


def test_a_key_that_no_copy_holds_is_told_as_damage(case: Case) -> None:
    name, *_ = sorted(erase_keys(case.disk(0)))
    for number in (0, 1):
        (case.disk(number) / "erase-keys" / name).write_bytes(b"nonsense")
    report = rebuild(case, index_only=False)
    assert [one.severity for one in report.findings if "no copy of this erase key holds" in one.sentence] == ["damage"]
    assert report.is_damaged


@pytest.mark.parametrize("index_only", [False, True])
def test_no_mark_on_a_disk_erases_what_the_rebuilt_catalog_has(case: Case, index_only: bool) -> None:
    slot_id = case.backed_up.slot_id
    before = erase_keys(case.disk(0))
    head = b"SSE1" + bytes([1, 3, 0, 0]) + slot_id + bytes(32)  # as docs/format.md has it
    (case.disk(0) / f"erase-keys/{slot_id.hex()}.key").write_bytes(head + blake3(head).digest(length=8))
    report = rebuild(case, index_only=index_only)
    assert erase_keys(case.disk(0)) == erase_keys(case.disk(1)) == before
    told = [one.severity for one in report.findings if "but the vault's history has that slot" in one.sentence]
    assert told == ["damage"]
