"""A commit beside which damage is met: looked up again without holding up others, answered once, and never wrongly."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from protocol import messages as m
from tests.vaultd.operations.small_site import BackedUp, Site, make_site
from tests.vaultd.operations.test_safesets import stored_leaf
from vaultd.operations import safesets
from vaultd.operations.vault import Vault, close_vault
from vaultd.records import Identity
from vaultd.server.handlers import safeset
from vaultd.server.request import Request


@dataclass
class Damaging:
    """Damage is met after each of the first `times` preparations."""

    site: Site
    times: int
    prepared: list[object] = field(default_factory=list)

    def prepare(self, vault: Vault, identity: Identity, *arguments: Any) -> Any:
        found = self.really_prepare(vault, identity, *arguments)
        self.prepared.append(vault.store.newest_damage)
        if len(self.prepared) <= self.times:
            vault.store.know_disks(vault.store.disks.known)
        return found

    def __post_init__(self) -> None:
        self.really_prepare = safesets.prepare


def request(site: Site, job: BackedUp) -> Request:
    top = stored_leaf(site, job)
    payload = job.sealer.payload(top)
    raw = job.sealer.root(top, payload) + payload
    message = m.SafesetCommitRequest(job.sealer.run_id)
    made = SimpleNamespace(vault=site.vault, identity=job.agent.identity, message=message, raw=raw)
    return cast(Request, made)


@pytest.mark.parametrize(("times", "prepared"), [(0, 1), (1, 2), (2, 3), (3, 3)])
async def test_a_commit_is_prepared_again_where_damage_was_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, prepared: int
) -> None:
    site = make_site(tmp_path)
    asked = request(site, site.ready())
    damaging = Damaging(site, times)
    monkeypatch.setattr(safesets, "prepare", damaging.prepare)
    answer = await safeset.commit(asked)
    assert (answer.sequence, len(damaging.prepared)) == (1, prepared)
    close_vault(site.vault)
