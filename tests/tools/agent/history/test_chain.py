"""A vault that shows another history of a job than the one that this agent signed."""

import struct
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol import messages as m
from tests.tools.agent.conftest import Site
from tests.tools.agent.forging import (
    COMPUTER,
    GENERATION,
    JOB,
    KEYRING,
    PREVIOUS,
    SEQUENCE,
    TIMELINE,
    agents_own,
    forged,
)
from tools.agent.state import JobState, KnownHead
from tools.client.failure import Failure
from tools.client.keyring import Unattended

Patch = pytest.MonkeyPatch


@pytest.fixture
async def five(site: Site) -> Site:
    """Five safesets, all of them countersigned for this agent."""
    (site.source / "file").write_bytes(b"1")
    for _ in range(5):
        await site.back_up()
    return site


def job_state(site: Site) -> JobState:
    return site.state.job(site.vault.job.job_id)


def know(site: Site, sequence: int) -> None:
    """The state of an agent that saw nothing after this safeset; 0 is one that knows no head."""
    if sequence == 0:
        job_state(site).head_path.unlink()
        return
    root = site.vault.roots[sequence - 1][0]
    job_state(site).save_head(KnownHead(timeline=1, sequence=sequence, root_hash=blake3(root).hexdigest()))


async def refused(site: Site, match: str) -> None:
    roots, uploads = len(site.vault.roots), site.vault.uploads
    with pytest.raises(Failure, match=match) as caught:
        await site.back_up()
    assert caught.value.exit_code == 9
    assert str(job_state(site).head_path) in caught.value.hint
    assert (len(site.vault.roots), site.vault.uploads) == (roots, uploads)


@pytest.mark.parametrize("known", [0, 1, 2, 4])
async def test_a_newer_head_is_taken_when_this_agent_signed_the_way_to_it(five: Site, known: int) -> None:
    know(five, known)
    assert (await five.back_up()).safeset == 6


async def test_what_verifies_the_roots_is_read_once(five: Site, monkeypatch: Patch) -> None:
    """However many there are, and however few the vault gives at a time."""
    know(five, 0)
    real, calls = JobState.load_signers, []

    def load_signers(state: JobState) -> dict[int, bytes]:
        calls.append(state)
        return real(state)

    monkeypatch.setattr(JobState, "load_signers", load_signers)
    await five.back_up()
    assert len(calls) == 1


def rotate(site: Site) -> None:
    """A second generation, whose signing key is that of the first."""
    saved = job_state(site).load_unattended()
    assert saved is not None
    job_state(site).save_unattended(replace(Unattended.decode(saved), generation=2).encode())


@pytest.mark.parametrize("known", [0, 2])
async def test_safesets_of_an_earlier_generation_are_followed(five: Site, known: int) -> None:
    rotate(five)
    know(five, known)
    for sequence in (6, 7):
        assert (await five.back_up()).safeset == sequence
    know(five, known)
    assert (await five.back_up()).safeset == 8


async def test_a_generation_that_falls_is_refused(five: Site) -> None:
    rotate(five)
    await five.back_up()
    root, payload = five.vault.roots[5]
    five.vault.roots.append((forged(root, agents_own(five), SEQUENCE, struct.pack("<Q", 7)), payload))
    chained = forged(five.vault.roots[6][0], agents_own(five), PREVIOUS, blake3(root).digest())
    five.vault.roots[6] = (forged(chained, agents_own(five), GENERATION, struct.pack("<I", 1)), payload)
    for known in (6, 4):
        if known == 4:
            know(five, known)
        await refused(five, "after safeset 6 is not this agent's: its generation 1 is not in 2..2")


async def test_a_head_with_nothing_before_it_is_refused(five: Site, monkeypatch: Patch) -> None:
    """Safesets 4 and 5 are deleted, and the vault claims a head out of nothing."""
    claimed = msgspec.structs.replace(five.vault.current_job(), head_sequence=9, head_hash=b"junk" * 8)
    del five.vault.roots[3:]
    monkeypatch.setattr(five.vault, "current_job", lambda: claimed)
    await refused(five, "it has nothing after safeset 5")


FORGERIES = {
    "another keyring": (KEYRING, b"K" * 16, "it is of another keyring, job or computer"),
    "a generation that is not there": (GENERATION, struct.pack("<I", 2), "its generation 2 is not in 1..1"),
    "a generation before the last one": (GENERATION, bytes(4), "its generation 0 is not in 1..1"),
    "another job": (JOB, b"J" * 16, "it is of another keyring, job or computer"),
    "another computer": (COMPUTER, b"C" * 16, "it is of another keyring, job or computer"),
    "another timeline": (TIMELINE, struct.pack("<I", 2), "it is safeset 4 of timeline 2"),
    "a gap": (SEQUENCE, struct.pack("<Q", 5), "it is safeset 5 of timeline 1"),
    "another safeset before it": (PREVIOUS, b"P" * 32, "it follows another safeset"),
}


@pytest.mark.parametrize("what", FORGERIES)
async def test_a_root_that_does_not_follow_is_refused(five: Site, what: str) -> None:
    """The fourth one, signed with the key of this very agent."""
    offset, value, match = FORGERIES[what]
    root, payload = five.vault.roots[3]
    five.vault.roots[3:] = [(forged(root, agents_own(five), offset, value), payload)]
    know(five, 2)
    await refused(five, f"after safeset 3 is not this agent's: {match}")


async def test_a_root_that_somebody_else_signed_is_refused(five: Site) -> None:
    root, payload = five.vault.roots[4]
    five.vault.roots[4] = (forged(root, Ed25519PrivateKey.generate(), SEQUENCE, struct.pack("<Q", 5)), payload)
    know(five, 3)
    await refused(five, "after safeset 4 is not this agent's: the root is not signed by the job's key")


async def test_safesets_in_another_order_are_refused(five: Site) -> None:
    five.vault.roots[2], five.vault.roots[3] = five.vault.roots[3], five.vault.roots[2]
    know(five, 2)
    await refused(five, "after safeset 2 is not this agent's: it is safeset 4")


async def test_the_chain_must_end_at_the_head(five: Site, monkeypatch: Patch) -> None:
    claimed = msgspec.structs.replace(five.vault.current_job(), head_hash=b"junk" * 8)
    monkeypatch.setattr(five.vault, "current_job", lambda: claimed)
    know(five, 3)
    await refused(five, "its safeset 5 is not the one")


@pytest.mark.parametrize(
    ("sequence", "match"), [(9, "nothing after safeset 5"), (4, "is 4, but"), (5, "its safeset 5")]
)
async def test_the_head_that_a_run_begins_on_is_followed_too(
    five: Site, monkeypatch: Patch, sequence: int, match: str
) -> None:
    real = five.vault._run_begin

    def begin(request: m.RunBeginRequest, raw: bytes) -> tuple[Any, bytes]:
        answer, back = real(request, raw)
        return msgspec.structs.replace(answer, head_sequence=sequence, head_hash=b"junk" * 8), back

    monkeypatch.setattr(five.vault, "_run_begin", begin)
    await refused(five, match)
    assert five.vault.ended[-1].outcome == "failed"


async def test_a_first_run_begins_at_the_beginning(site: Site, monkeypatch: Patch) -> None:
    """Else the first root would name a made up one before it."""
    (site.source / "file").write_bytes(b"1")
    site.vault.job = msgspec.structs.replace(site.vault.job, head_hash=b"junk" * 8)
    real = site.vault.current_job
    monkeypatch.setattr(site.vault, "current_job", lambda: msgspec.structs.replace(real(), head_hash=b"junk" * 8))
    await refused(site, "its safeset 0 is not the one")


async def test_a_person_accepts_a_vault_from_an_older_copy(five: Site) -> None:
    del five.vault.roots[3:]
    await refused(five, "its newest safeset of this job is 3")
    job_state(five).head_path.unlink()
    assert (await five.back_up()).safeset == 4
    assert (await five.back_up()).safeset == 5
