"""A disk that went away while the vault runs may hold the good copy of an erase key: nothing is judged meanwhile."""

from pathlib import Path

import pytest

from tests.vaultd.operations.disk_case import Case
from tests.vaultd.operations.sealing import id_of
from vaultd.operations.dead_keys import check_slots, judge_keys
from vaultd.store.disk_door import Door


@pytest.mark.parametrize("copies", ["keys", "keys-and-slots"])
def test_no_key_is_given_up_while_its_disk_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: str
) -> None:
    case = Case(tmp_path, monkeypatch)
    case.start()
    backed_up = case.backed_up
    case.take_away(1)
    wanted = "*" if copies == "keys-and-slots" else f"{backed_up.job.job_id.hex()}.*"
    damaged = list(case.disk(0).glob(f"erase-keys/{wanted}"))
    assert damaged
    for path in damaged:
        data = bytearray(path.read_bytes())
        data[40] ^= 1
        path.write_bytes(data)
    vault = case.site.vault
    check_slots(vault, backed_up.agent.identity, backed_up.job.job_id)
    assert judge_keys(vault, backed_up.agent.identity, backed_up.job.job_id).dead == []
    assert vault.store.missing(backed_up.sealer.keyring_id, [id_of(case.old)]) == [False]
    vault.catalog.close()
    vault.store.close()
    vault.lock.close()


def test_a_look_that_met_it_counts_also_where_a_newer_one_saw_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys were read before the disk came back."""
    case = Case(tmp_path, monkeypatch)
    case.start()
    vault, backed_up = case.site.vault, case.backed_up
    (path,) = case.disk(0).glob(f"erase-keys/{backed_up.job.job_id.hex()}.*")
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    case.take_away(1)
    look = vault.store.disks.look

    def look_beside_another(door: Door) -> bool:
        met = look(door)
        case.bring_back(1)
        assert not look(door)  # the other thread's
        return met

    monkeypatch.setattr(vault.store.disks, "look", look_beside_another)
    assert judge_keys(vault, backed_up.agent.identity, backed_up.job.job_id).dead == []
    monkeypatch.undo()
    assert not vault.store.disks.is_any_away
    case.stop()
