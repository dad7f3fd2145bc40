"""The roots of a job, in order, in parts, and for its own agent only."""

import os

import pytest
from blake3 import blake3

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import BackedUp, Site
from vaultd.errors import NotFound
from vaultd.operations.safeset_roots import roots_after


def commit(site: Site, backed_up: BackedUp, count: int) -> list[bytes]:
    roots: list[bytes] = []
    for sequence in range(1, count + 1):
        chunk = backed_up.sealer.record(DATA, os.urandom(50))
        top = backed_up.sealer.leaf([chunk])
        site.upload(backed_up, chunk, *top)
        payload = backed_up.sealer.payload(top)
        previous = blake3(roots[-1]).digest() if roots else bytes(32)
        root = backed_up.sealer.root(top, payload, sequence=sequence, previous=previous)
        site.commit(backed_up, root, payload)
        roots.append(root)
        site.begin(backed_up)
    return roots


def test_roots_come_in_order_and_in_parts(site: Site) -> None:
    backed_up = site.ready()
    roots = commit(site, backed_up, 3)
    identity, job_id = backed_up.agent.identity, backed_up.sealer.job_id
    assert roots_after(site.vault, identity, job_id, 0, 10) == roots
    assert roots_after(site.vault, identity, job_id, 1, 10) == roots[1:]
    assert roots_after(site.vault, identity, job_id, 0, 2) == roots[:2]
    for after in (3, 4, 2**63 - 1):
        assert roots_after(site.vault, identity, job_id, after, 10) == []


def test_roots_of_another_job_are_not_among_them(site: Site) -> None:
    administrator = site.administrator()
    first = site.ready(administrator, "first")
    second = site.ready(administrator, "second")
    commit(site, first, 2)
    assert roots_after(site.vault, second.agent.identity, second.sealer.job_id, 0, 10) == []
    with pytest.raises(NotFound, match="does not exist"):
        roots_after(site.vault, second.agent.identity, first.sealer.job_id, 0, 10)
