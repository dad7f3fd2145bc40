"""A vault that answers restore.open with parts that do not belong together: each is refused for its own reason."""

import struct
from typing import Any

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.tools.agent.conftest import PASSWORD, Site
from tests.tools.agent.forging import COMPUTER, JOB, KEYRING, LEVEL, TOP_BLOCK, agents_own, forged
from tools.agent.safeset.unlock import Wanted, unlock
from tools.client.failure import Failure


@pytest.fixture
async def backed_up(site: Site) -> Site:
    """Two safesets of trees that differ."""
    for content in (b"first", b"second"):
        (site.source / "file").write_bytes(content)
        await site.back_up()
    return site


async def refused(site: Site, match: str, sequence: int = 1) -> None:
    """By the job's name at a named computer, as on a new machine: nothing of the agent's own state helps."""
    with pytest.raises(Failure, match=match) as caught:
        await unlock(site.agent.session, site.state, Wanted("job", "pc1", sequence), PASSWORD)
    assert caught.value.exit_code == 9


def put_root(site: Site, offset: int, value: bytes) -> None:
    """The first safeset's root says something else, and the job's key has signed it."""
    root, payload = site.vault.roots[0]
    site.vault.roots[0] = (forged(root, agents_own(site), offset, value), payload)


def countersigned(site: Site, **changed: Any) -> bytes:
    vault_id, time_ns = changed.get("vault_id", site.vault.vault_id), changed.get("time_ns", 2_000)
    hash = blake3(site.vault.roots[changed.get("index", 0)][0]).digest()
    signer: Ed25519PrivateKey = changed.get("signer", site.vault.signing)
    return signer.sign(b"safeset countersignature v1" + hash + vault_id + struct.pack("<q", time_ns))


OTHER_COUNTERSIGNATURES: dict[str, dict[str, Any]] = {
    "of another vault's key": {"signer": Ed25519PrivateKey.from_private_bytes(b"o" * 32)},
    "for another vault": {"vault_id": b"w" * 16},
    "of another time": {"time_ns": 2_001},
    "of another safeset": {"index": 1},
}


@pytest.mark.parametrize("what", OTHER_COUNTERSIGNATURES)
async def test_a_countersignature_that_is_not_of_this_safeset_is_refused(
    backed_up: Site, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    other = countersigned(backed_up, **OTHER_COUNTERSIGNATURES[what])
    monkeypatch.setattr(backed_up.vault, "_countersign", lambda root: other)
    await refused(backed_up, "not countersigned by this vault")


@pytest.mark.parametrize(("offset", "id"), [(KEYRING, b"K" * 16), (JOB, b"J" * 16), (COMPUTER, b"C" * 16)])
async def test_a_root_of_another_keyring_job_or_computer_is_refused(backed_up: Site, offset: int, id: bytes) -> None:
    put_root(backed_up, offset, id)
    await refused(backed_up, "a safeset of another keyring, job or computer")


async def test_the_payload_of_another_safeset_is_refused(backed_up: Site) -> None:
    """It is a good record of this very job."""
    await backed_up.back_up()
    backed_up.vault.roots[2] = (backed_up.vault.roots[2][0], backed_up.vault.roots[1][1])
    await refused(backed_up, "payload is not the one that its root names", 3)


@pytest.mark.parametrize("what", ["manifest", "level"])
async def test_a_root_that_names_another_manifest_than_its_payload_is_refused(backed_up: Site, what: str) -> None:
    other = backed_up.vault.roots[1][0]
    offset, value = {"manifest": (TOP_BLOCK, other[TOP_BLOCK:LEVEL]), "level": (LEVEL, b"\x01")}[what]
    put_root(backed_up, offset, value)
    await refused(backed_up, "names another manifest than its sealed part")


@pytest.mark.parametrize(("offset", "value"), [(60, b"r" * 16), (5, b"\x02")], ids=["run", "suite"])
async def test_a_payload_of_another_run_or_suite_than_its_root_is_refused(
    backed_up: Site, offset: int, value: bytes
) -> None:
    put_root(backed_up, offset, value)
    await refused(backed_up, "payload is of another run or suite than its root")


async def test_another_job_under_a_name_that_this_agent_backed_up_is_refused(backed_up: Site) -> None:
    """A former job of the name, with the same password, would be an older safeset without a word."""
    backed_up.state.save_job_id("job", b"n" * 16)
    for name in ("job", "JOB"):
        with pytest.raises(Failure, match="another job under the name") as caught:
            await unlock(backed_up.agent.session, backed_up.state, Wanted(name, None, 0), PASSWORD)
        assert caught.value.exit_code == 6
    assert "restore.open" not in backed_up.vault.asked
