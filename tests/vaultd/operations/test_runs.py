"""Runs: one active at a time, keys bound to the run, and the same question answered the same way."""

import os

import pytest

from tests.vaultd.operations.small_site import Site
from tests.vaultd.operations.test_restore import saved
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import computers, jobs, offer, runs
from vaultd.operations.vault import write_checkpoint
from vaultd.records import Figures


def test_a_new_run_aborts_the_active_one(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    old = backed_up.sealer.run_id
    site.begin(backed_up)
    identity = backed_up.agent.identity
    with pytest.raises(Conflict, match=f"run {old.hex()} of job 'home' has ended as aborted"):
        offer.offer(site.vault, identity, old, b"")
    assert offer.offer(site.vault, identity, backed_up.sealer.run_id, b"").missing == 0
    outcomes = [run.outcome for run in jobs.show(site.vault, administrator, "laptop", "home").runs]
    assert outcomes == ["running", "aborted"]


def test_begin_again_and_end_again_change_nothing(site: Site) -> None:
    backed_up = site.ready()
    identity, run_id = backed_up.agent.identity, backed_up.sealer.run_id
    begun = runs.begin(site.vault, identity, backed_up.sealer.job_id, run_id, None)
    assert (begun.base_known, begun.head_sequence, begun.head_hash, begun.timeline) == (False, 0, bytes(32), 1)
    figures = Figures(files=5, codes={"vanished": 2})
    saved(site, backed_up)
    runs.end(site.vault, identity, run_id, "warnings", figures)
    number = site.vault.store.position.number
    runs.end(site.vault, identity, run_id, "warnings", figures)
    assert site.vault.store.position.number == number
    with pytest.raises(Conflict, match="has ended as warnings"):
        runs.end(site.vault, identity, run_id, "done", figures)
    with pytest.raises(Conflict, match="cannot be used"):
        runs.begin(site.vault, identity, backed_up.sealer.job_id, run_id, None)


def test_who_tells_how_far_a_run_is_finds_no_run_that_has_ended(site: Site) -> None:
    """Not even that it was there once."""
    backed_up = site.ready()
    identity, run_id = backed_up.agent.identity, backed_up.sealer.run_id
    assert runs.job_of_running(site.vault, identity, run_id) == backed_up.sealer.job_id
    site.end(backed_up)
    said = set()
    for asked in (run_id, os.urandom(16)):
        with pytest.raises(NotFound) as refused:
            runs.job_of_running(site.vault, identity, asked)
        said.add((refused.value.message.replace(asked.hex(), "RUN"), refused.value.hint))
    assert said == {("run RUN does not exist", "")}


def test_a_run_needs_a_keyring(site: Site) -> None:
    administrator = site.administrator()
    agent = site.agent(administrator)
    job = site.job(administrator, agent)
    with pytest.raises(Conflict, match="job 'home' has no keyring yet"):
        runs.begin(site.vault, agent.identity, job.job_id, os.urandom(16), None)


@pytest.mark.parametrize(
    ("offset", "what"),
    [
        (0, "magic"),
        (5, "kem"),
        (6, "reserved"),
        (8, "keyring"),
        (24, "generation"),
        (28, "job"),
        (44, "run"),
        (60, "sealed_length"),
    ],
)
def test_a_sealed_key_for_something_else_is_refused(site: Site, offset: int, what: str) -> None:
    backed_up = site.ready()
    sealed = bytearray(backed_up.sealer.make_sealed_key())
    sealed[offset] ^= 0x40
    with pytest.raises(BadRequest, match=what):
        runs.add_key(site.vault, backed_up.agent.identity, backed_up.sealer.run_id, bytes(sealed))


def test_a_sealed_key_is_durable_before_the_answer_and_once(site: Site) -> None:
    backed_up = site.ready()
    sealer, identity = backed_up.sealer, backed_up.agent.identity
    number = site.vault.store.position.number
    assert runs.add_key(site.vault, identity, sealer.run_id, sealer.sealed_key) == sealer.key_id
    assert site.vault.store.position.number == number
    other = sealer.make_sealed_key()
    runs.add_key(site.vault, identity, sealer.run_id, other)
    assert site.vault.store.position.number == number + 1
    site.crash()
    assert runs.add_key(site.vault, identity, sealer.run_id, other)
    assert site.vault.store.position.number == number + 1


def test_a_run_key_never_lies_as_it_was_sent(site: Site) -> None:
    """Journal, catalog and checkpoint hold the row of the key, and no file of the vault a part of the key."""
    backed_up = site.ready()
    write_checkpoint(site.vault)
    rows_in, keys_in = set(), []
    for path in site.config.directory.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            rows_in |= {path.parent.name} if backed_up.sealer.key_id in content else set()
            keys_in += [path for at in (62, 590, 1198) if backed_up.sealer.sealed_key[at : at + 32] in content]
    assert rows_in >= {"journal", "catalog", "checkpoints"}
    assert keys_in == []


def test_a_run_has_a_bounded_number_of_keys(site: Site) -> None:
    backed_up = site.ready()
    sealer, identity = backed_up.sealer, backed_up.agent.identity
    for _ in range(63):
        runs.add_key(site.vault, identity, sealer.run_id, sealer.make_sealed_key())
    with pytest.raises(Conflict, match="has 64 keys already"):
        runs.add_key(site.vault, identity, sealer.run_id, sealer.make_sealed_key())


@pytest.mark.parametrize(
    ("outcome", "figures", "message"),
    [
        ("running", Figures(), "outcome 'running' is not"),
        ("great", Figures(), "outcome 'great' is not"),
        ("done", Figures(files=-1), "files -1 is not plausible"),
        ("done", Figures(codes={"a\nb": 1}), "codes"),
        ("done", Figures(codes={str(number): 1 for number in range(65)}), "codes has 65 rows"),
    ],
)
def test_an_end_that_cannot_be_right_is_refused(site: Site, outcome: str, figures: Figures, message: str) -> None:
    backed_up = site.ready()
    with pytest.raises(BadRequest, match=message):
        runs.end(site.vault, backed_up.agent.identity, backed_up.sealer.run_id, outcome, figures)


def test_runs_of_others_do_not_exist(site: Site) -> None:
    """Another account, another computer of the same account, and no run at all: one sentence."""
    administrator = site.administrator()
    backed_up = site.ready(administrator, "one")
    sibling = site.agent(administrator, "two")
    stranger = site.agent(site.administrator("other"), "one")
    messages = set()
    for identity in (sibling.identity, stranger.identity):
        for run_id in (backed_up.sealer.run_id, os.urandom(16)):
            with pytest.raises(NotFound) as refused:
                offer.offer(site.vault, identity, run_id, b"")
            messages.add(refused.value.message.replace(run_id.hex(), "RUN"))
            with pytest.raises(NotFound) as refused:
                runs.job_of_running(site.vault, identity, run_id)
            messages.add(refused.value.message.replace(run_id.hex(), "RUN"))
            with pytest.raises(NotFound):
                runs.add_key(site.vault, identity, run_id, backed_up.sealer.sealed_key)
            with pytest.raises(NotFound):
                runs.end(site.vault, identity, run_id, "done", Figures())
    assert messages == {"run RUN does not exist"}
    with pytest.raises(NotFound, match=f"job {backed_up.sealer.job_id.hex()} does not exist"):
        runs.begin(site.vault, stranger.identity, backed_up.sealer.job_id, os.urandom(16), None)


def test_a_computer_was_last_seen_when_a_run_began_or_ended(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    site.clock.advance(100)
    site.end(backed_up)
    (computer,) = computers.list_all(site.vault, administrator)
    assert computer.last_seen_ns == site.clock.now_ns()
