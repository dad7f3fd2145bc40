"""Removed jobs and computers: they work no more, nothing that they stored is lost, and their safesets restore."""

import dataclasses
import os
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import PROOF, BackedUp, Site, batch, certificate_request, new_job, new_keyring
from tests.vaultd.operations.test_check import check
from tests.vaultd.operations.test_provisional import Long
from vaultd.catalog.grants import save_grant
from vaultd.catalog.rows import decode
from vaultd.errors import Conflict, NotAllowed, NotFound, NotSignedIn
from vaultd.operations import (
    accounts,
    computers,
    grants,
    jobs,
    keyrings,
    ledger,
    offer,
    removal,
    restore,
    runs,
    safeset_roots,
    safesets,
    status,
    upload,
)
from vaultd.operations.computers import RegistrationRequest
from vaultd.operations.fetch import FetchStream
from vaultd.operations.grants import Granting
from vaultd.operations.restore import OpenRequest
from vaultd.operations.sign_in import sign_in_certificate
from vaultd.records import AuditEntry, Figures, Grant, Identity

Remove = Callable[[Site, Identity], object]


def remove_job(site: Site, administrator: Identity) -> object:
    return removal.remove_job(site.vault, administrator, "laptop", "home")


def remove_computer(site: Site, administrator: Identity) -> object:
    return removal.remove_computer(site.vault, administrator, "laptop")


both = pytest.mark.parametrize(
    ("remove", "sentence"),
    [(remove_job, "job 'home' was removed"), (remove_computer, "job 'home' was removed with its computer")],
    ids=["job", "computer"],
)


@pytest.fixture
def administrator(site: Site) -> Identity:
    return site.administrator()


def leaf_of(job: BackedUp) -> tuple[list[bytes], tuple[bytes, bytes]]:
    chunk = job.sealer.record(DATA, os.urandom(50))
    leaf = job.sealer.leaf([chunk])
    return [chunk, *leaf], leaf


@both
def test_a_run_that_goes_on_ends_and_takes_nothing_more(
    site: Site, administrator: Identity, remove: Remove, sentence: str
) -> None:
    """Each request of it is refused by the same sentence, also one whose records or root were checked before."""
    job = site.ready(administrator)
    agent, sealer, vault = job.agent.identity, job.sealer, site.vault
    records, leaf = leaf_of(job)
    site.upload(job, *records)
    payload = sealer.payload(leaf)
    root = sealer.root(leaf, payload)
    prepared = safesets.prepare(vault, agent, sealer.run_id, root, payload)
    assert isinstance(prepared, safesets.Prepared)
    verified = upload.verify(upload.facts(vault, agent, sealer.run_id), batch(sealer.record(DATA, b"late")))
    remove(site, administrator)
    jobs_run, job_id = sealer.run_id, sealer.job_id
    asked: list[Callable[[], object]] = [
        lambda: upload.append(vault, verified, agent),
        lambda: upload.facts(vault, agent, jobs_run),
        lambda: offer.offer(vault, agent, jobs_run, bytes(32)),
        lambda: safesets.commit(vault, agent, prepared),
        lambda: safesets.prepare(vault, agent, jobs_run, root, payload),
        lambda: runs.add_key(vault, agent, jobs_run, sealer.make_sealed_key()),
        lambda: runs.job_of_running(vault, agent, jobs_run),
        lambda: runs.end(vault, agent, jobs_run, "failed", Figures()),
        lambda: runs.begin(vault, agent, job_id, os.urandom(16), None),
        lambda: safesets.is_whole_base(vault, agent, job_id, bytes(32)),
        lambda: safesets.find(vault, agent, job_id, bytes(32)),
        lambda: safeset_roots.roots_after(vault, agent, job_id, 0, 1),
        lambda: keyrings.create(vault, agent, new_keyring(sealer, job.slot)),
        lambda: jobs.request_run(vault, administrator, "laptop", "home"),
    ]
    for ask in asked:
        with pytest.raises(NotFound) as refused:
            ask()
        assert refused.value.message == sentence
        assert refused.value.hint == "its safesets are kept and can be restored with its password"
    (run,) = jobs.show(vault, administrator, "laptop", "home").runs
    assert (run.outcome, run.end_ns, run.sequence) == ("aborted", site.clock.now_ns(), 0)
    assert status.vault_status(vault, "1", 0).runs_active == 0


@both
def test_its_safesets_stay_and_restore_from_another_computer(
    site: Site, administrator: Identity, remove: Remove, sentence: str
) -> None:
    job = site.ready(administrator)
    long = Long(site, job)
    long.add(complete=True, protected_bytes=77)
    long.begin()
    long.add()
    remove(site, administrator)
    site.crash()
    other = site.agent(administrator, "other")
    grants.give(site.vault, administrator, Granting("laptop", "home", "other"), 7)
    page = safesets.list_page(site.vault, other.identity, "laptop", "home", None, 10)
    assert [(one.number, one.complete) for one in page.safesets] == [(1, True), (2, False)]
    for number, root in ((0, long.roots[0]), (1, long.roots[0]), (2, long.roots[1])):
        opened = restore.open_restore(
            site.vault, other.identity, OpenRequest("laptop", "home", job.slot_id, PROOF, number)
        )
        assert opened.root == root
    stream = FetchStream(site.vault, site.vault.tickets.find(other.identity, opened.ticket))
    assert stream.fetch([long.chunks[0][40:72]], 1 << 20).records == [long.chunks[0]]
    found = accounts.show(site.vault, "acme").account
    assert (found.safesets, found.protected_bytes) == (2, 77)
    assert check(site).findings == []


def test_the_computer_of_a_removed_job_restores_it_itself(site: Site, administrator: Identity) -> None:
    job = site.ready(administrator)
    long = Long(site, job)
    long.add(complete=True)
    remove_job(site, administrator)
    assert long.open(0) == long.roots[0]
    assert long.listed() == [1]


def test_what_a_removed_computer_fetches_ends(site: Site, administrator: Identity) -> None:
    """A thief has a stream open. The removal of its job ends nothing, and no other computer's ticket goes."""
    job = site.ready(administrator)
    long = Long(site, job)
    long.add(complete=True)
    other = site.agent(administrator, "other")
    grants.give(site.vault, administrator, Granting("laptop", "home", "other"), 7)
    own = restore.open_restore(site.vault, job.agent.identity, OpenRequest(None, "home", job.slot_id, PROOF, 0))
    granted = restore.open_restore(site.vault, other.identity, OpenRequest("laptop", "home", job.slot_id, PROOF, 0))
    stream = FetchStream(site.vault, site.vault.tickets.find(job.agent.identity, own.ticket))
    others = FetchStream(site.vault, site.vault.tickets.find(other.identity, granted.ticket))
    ids = [long.chunks[0][40:72]]
    remove_job(site, administrator)
    assert stream.fetch(ids, 1 << 20).records == [long.chunks[0]]
    remove_computer(site, administrator)
    with pytest.raises(NotAllowed, match="was taken back"):
        stream.fetch(ids, 1 << 20)
    with pytest.raises(NotAllowed, match="unknown or expired"):
        site.vault.tickets.find(job.agent.identity, own.ticket)
    assert others.fetch(ids, 1 << 20).records == [long.chunks[0]]


def test_grants_that_nobody_can_use_any_more_go_with_the_computer(site: Site, administrator: Identity) -> None:
    """Those to it. Those for its jobs stay: what it stored is restored under them."""
    job = site.ready(administrator)
    Long(site, job).add(complete=True)
    second = site.ready(administrator, "second")
    Long(site, second).add(complete=True)
    site.agent(administrator, "third")
    for to in ("second", "third"):
        grants.give(site.vault, administrator, Granting("laptop", "home", to), 7)
    grants.give(site.vault, administrator, Granting("second", "home", "laptop"), 7)
    remove_computer(site, administrator)
    removal.remove_computer(site.vault, administrator, "third")
    site.crash()
    (left,) = grants.list_all(site.vault, administrator)
    assert (left.computer, left.job, left.to, left.is_good) == ("laptop", "home", "second", True)
    with pytest.raises(Conflict, match="computer 'third' was removed"):
        grants.give(site.vault, administrator, Granting("second", "home", "third"), 7)
    with site.vault.catalog.read() as view:
        assert len(list(view.scan("grants"))) == 1


@pytest.mark.parametrize("remove", [remove_job, remove_computer])
def test_no_grant_is_left_of_a_job_of_which_nothing_is_stored(
    site: Site, administrator: Identity, remove: Remove
) -> None:
    """Its name may be another's by then."""
    site.job(administrator, site.agent(administrator))
    site.agent(administrator, "second")
    grants.give(site.vault, administrator, Granting("laptop", "home", "second"), 7)
    remove(site, administrator)
    assert grants.list_all(site.vault, administrator) == []
    with pytest.raises(Conflict, match="job 'home' was removed, and nothing is stored of it"):
        grants.give(site.vault, administrator, Granting("laptop", "home", "second"), 7)


def test_a_grant_of_before_to_a_removed_computer_is_not_shown_as_good(site: Site, administrator: Identity) -> None:
    backed_up, second = site.ready(administrator), site.agent(administrator, "second").identity
    removal.remove_computer(site.vault, administrator, "second")
    kept = Grant(backed_up.job.job_id, second.computer_id, site.clock.now_ns(), site.clock.now_ns() + 10**15)
    ledger.record(site.vault, save_grant(administrator.account_id, kept))
    (shown,) = grants.list_all(site.vault, administrator)
    assert (shown.to, shown.is_good) == ("second", False)


def test_a_removed_job_is_shown_as_that_and_its_agent_hears_no_more_of_it(site: Site, administrator: Identity) -> None:
    job = site.ready(administrator)
    second = site.job(administrator, job.agent, "second")
    jobs.request_run(site.vault, administrator, "laptop", "home")
    site.clock.advance(5)
    remove_job(site, administrator)
    removed_ns = site.clock.now_ns()
    shown = {
        one.name: (one.removed_ns, one.run_requested) for one in jobs.list_all(site.vault, administrator, "laptop")
    }
    assert shown == {"home": (removed_ns, False), "second": (0, False)}
    assert [one.name for one in jobs.list_for_agent(site.vault, job.agent.identity)] == ["second"]
    assert accounts.show(site.vault, "acme").account.jobs == 1
    with pytest.raises(NotFound, match="job 'home' was removed"):  # whoever waits for the run
        jobs.request_state(site.vault, administrator, "laptop", "home", 1)
    assert second.job_id != job.job.job_id


def test_removing_twice_changes_nothing(site: Site, administrator: Identity) -> None:
    site.ready(administrator)
    for remove in (remove_job, remove_computer):
        first = remove(site, administrator)
        site.clock.advance(60)
        position = site.vault.catalog.position()
        assert remove(site, administrator) == first
        assert site.vault.catalog.position() == position


def test_both_are_in_the_audit(site: Site, administrator: Identity) -> None:
    site.ready(administrator)
    remove_job(site, administrator)
    remove_computer(site, administrator)
    with site.vault.catalog.read() as view:
        rows = [decode("audit", *row, AuditEntry) for row in view.scan("audit", administrator.account_id)]
    told = [(one.actor, one.action, one.subject) for one in rows]
    actor = "administrator administrator"
    assert told[-2:] == [(actor, "job.remove", "laptop/home"), (actor, "computer.remove", "laptop")]


def test_what_does_not_exist_or_is_foreign_is_not_removed(site: Site, administrator: Identity) -> None:
    site.ready(administrator)
    stranger = site.administrator("other")
    for who, computer, job in (
        (stranger, "laptop", "home"),
        (administrator, "laptop", "x"),
        (administrator, "x", "home"),
    ):
        with pytest.raises(NotFound, match="does not exist"):
            removal.remove_job(site.vault, who, computer, job)
    for who, computer in ((stranger, "laptop"), (administrator, "x")):
        with pytest.raises(NotFound, match="does not exist"):
            removal.remove_computer(site.vault, who, computer)


def test_a_name_stays_taken_while_there_are_safesets_under_it(site: Site, administrator: Identity) -> None:
    job = site.ready(administrator)
    Long(site, job).add(complete=True)
    remove_job(site, administrator)
    with pytest.raises(Conflict) as refused:
        site.job(administrator, job.agent)
    assert refused.value.message == "job 'home' was removed from computer 'laptop', and its safesets keep the name"
    remove_computer(site, administrator)
    with pytest.raises(Conflict, match="a computer named 'laptop' was removed, and its safesets keep the name"):
        site.agent(administrator)
    assert (
        site.agent(administrator, "laptop-2").identity.name,
        len(computers.list_all(site.vault, administrator)),
    ) == (
        "laptop-2",
        2,
    )


def test_a_name_under_which_nothing_was_stored_is_free_again(site: Site, administrator: Identity) -> None:
    job = site.ready(administrator)
    remove_job(site, administrator)
    second = site.job(administrator, job.agent)
    assert [one.job_id for one in jobs.list_for_agent(site.vault, job.agent.identity)] == [second.job_id]
    remove_computer(site, administrator)
    again = site.agent(administrator)
    (listed,) = computers.list_all(site.vault, administrator)
    assert (listed.computer_id, listed.removed_ns, listed.jobs) == (again.identity.computer_id, 0, 0)
    assert len(accounts.show(site.vault, "acme").computers) == 1
    assert check(site).findings == []


def test_a_password_that_was_not_taken_is_handed_out_no_more(site: Site, administrator: Identity) -> None:
    """And the request that created the job makes none again."""
    agent = site.agent(administrator)
    new = new_job(agent)
    jobs.create(site.vault, administrator, new)
    remove_job(site, administrator)
    with site.vault.catalog.read() as view:
        assert list(view.scan("job_secrets")) == []
    with pytest.raises(Conflict, match="job_id [0-9a-f]{32} cannot be used"):
        jobs.create(site.vault, administrator, new)
    assert jobs.list_for_agent(site.vault, agent.identity) == []


def test_a_removed_computer_signs_in_no_more(site: Site, administrator: Identity) -> None:
    request = RegistrationRequest(
        computers.invite(site.vault, administrator, "pc").secret, "laptop", certificate_request()[0], os.urandom(1216)
    )
    checked = computers.check_request(site.vault, request)
    made = computers.register(site.vault, checked)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode()).public_bytes(Encoding.DER)
    identity = sign_in_certificate(site.vault, certificate)
    assert identity is not None
    remove_computer(site, administrator)
    for _ in range(2):
        with pytest.raises(NotSignedIn) as refused:
            sign_in_certificate(site.vault, certificate)
        assert refused.value.message == "this computer was removed"
        assert "restore them on another computer of the account under a grant" in refused.value.hint
        site.reopen()
    for ask in (
        lambda: jobs.list_for_agent(site.vault, identity),
        lambda: restore.parameters(site.vault, identity, None, "home"),
    ):
        with pytest.raises(NotSignedIn, match="this computer was removed"):
            ask()
    with pytest.raises(NotAllowed, match="unknown, used or expired"):  # the code that registered it
        computers.register(site.vault, checked)
    anew = dataclasses.replace(request, secret=computers.invite(site.vault, administrator, "pc").secret, name="desk")
    with pytest.raises(Conflict, match="this agent key is registered already"):
        computers.register(site.vault, computers.check_request(site.vault, anew))


def test_a_removed_computer_takes_no_job(site: Site, administrator: Identity) -> None:
    job = site.ready(administrator)
    remove_computer(site, administrator)
    with pytest.raises(Conflict, match="computer 'laptop' was removed"):
        site.job(administrator, job.agent, "second")
    (shown,) = computers.list_all(site.vault, administrator)
    assert (shown.removed_ns, shown.jobs) == (site.clock.now_ns(), 1)
    found = accounts.show(site.vault, "acme").account
    assert (found.computers, found.jobs) == (0, 0)
    (of_job,) = computers.show(site.vault, administrator, "laptop").jobs
    assert of_job.removed_ns == site.clock.now_ns()


def test_what_was_removed_before_its_computer_keeps_its_time(site: Site, administrator: Identity) -> None:
    job = site.ready(administrator)
    remove_job(site, administrator)
    removed_ns = site.clock.now_ns()
    site.job(administrator, job.agent, "second")
    site.clock.advance(9)
    remove_computer(site, administrator)
    found = {one.name: one.removed_ns for one in jobs.list_all(site.vault, administrator, "laptop")}
    assert found == {"home": removed_ns, "second": site.clock.now_ns()}


def test_records_that_were_taken_before_stay_whole(site: Site, administrator: Identity) -> None:
    """What was appended and not yet durable when the job was removed becomes durable with the removal."""
    job = site.ready(administrator)
    agent, sealer = job.agent.identity, job.sealer
    records, _ = leaf_of(job)
    facts = upload.facts(site.vault, agent, sealer.run_id)
    upload.append(site.vault, upload.verify(facts, batch(*records)), agent)
    remove_job(site, administrator)
    ledger.write(site.vault)
    site.crash()
    ids = [record[40:72] for record in records]
    assert not any(site.vault.store.missing(sealer.keyring_id, ids))
    assert check(site).findings == []
