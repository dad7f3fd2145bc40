"""run.begin judges every key of the keyring, however many there are."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from protocol import messages as m
from tests.vaultd.operations.small_site import BackedUp, Site, make_site
from tests.vaultd.operations.test_dead_keys import flip_rows
from vaultd.operations import dead_keys
from vaultd.operations.vault import close_vault
from vaultd.server.handlers import run
from vaultd.server.request import Request
from vaultd.server.run_progress import RunProgressBook


async def begin(site: Site, backed_up: BackedUp) -> None:
    parts: Any = SimpleNamespace(vault=site.vault, progress=RunProgressBook())
    session: Any = SimpleNamespace(identity=backed_up.agent.identity)
    await run.begin(Request(parts, session, m.RunBeginRequest(backed_up.job.job_id, os.urandom(16), None), b""))


async def test_a_run_settles_the_keys_of_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_keys, "KEYS_PAGE", 2)
    site = make_site(tmp_path)
    backed_up = site.ready()
    ids = {backed_up.sealer.key_id}
    for _ in range(4):
        site.begin(backed_up)
        ids.add(backed_up.sealer.key_id)
    keyring_id, store = backed_up.sealer.keyring_id, site.vault.store
    flip_rows(site, "run_keys", 3)
    await begin(site, backed_up)
    assert {key_id for key_id in ids if store.is_key_given_up(keyring_id, key_id)} == ids
    flip_rows(site, "run_keys", 3)
    await begin(site, backed_up)
    assert not any(store.is_key_given_up(keyring_id, key_id) for key_id in ids)
    close_vault(site.vault)
