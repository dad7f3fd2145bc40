"""A restore that is opened while what it chose is replaced and collected."""

from __future__ import annotations

import pytest

from tests.vaultd.operations.collected_site import make_collected
from tests.vaultd.operations.small_site import PROOF, Site
from vaultd.catalog.database import View
from vaultd.errors import NotFound
from vaultd.operations import restore
from vaultd.operations.restore import OpenRequest
from vaultd.records import Job, Safeset


def test_a_restore_that_begins_beside_a_replacement_is_told_of_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provisional one was chosen; before its ticket is there it is replaced, and collected."""
    collected, vault = make_collected(site), site.vault
    collected.run(collected.chunk())
    collected.begin()
    collected.commit(collected.chunk(), complete=False)
    chosen: list[int] = []

    def choose(view: View, job: Job, sequence: int) -> Safeset:
        found = choose_alone(view, job, sequence)
        if not chosen:
            collected.commit(collected.chunk())
            site.end(collected.job)
            collected.collect()
        chosen.append(found.sequence)
        return found

    choose_alone = restore.choose
    monkeypatch.setattr(restore, "choose", choose)
    asked = OpenRequest(None, "home", collected.job.slot_id, PROOF, 2)
    with pytest.raises(NotFound, match="replaced by safeset 3"):
        restore.open_restore(vault, collected.job.agent.identity, asked)
    assert vault.tickets.safesets() == set()
