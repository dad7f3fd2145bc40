"""A disk that went away while the vault runs may hold the good copy of an erase key: nothing is judged meanwhile."""

from pathlib import Path

import pytest

from tests.vaultd.operations.disk_case import Case
from tests.vaultd.operations.sealing import id_of
from vaultd.operations.dead_keys import check_slots, judge_keys


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
