"""Another agent in the place of a computer's: the computer stays, the agent before it is nobody any more."""

import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import BackedUp, Site, certificate_request
from tests.vaultd.operations.test_restore import request as opening
from vaultd.errors import Conflict, NotAllowed, NotFound, NotSignedIn
from vaultd.operations import computers, fetch, jobs, offer, removal, restore, runs, safesets, upload
from vaultd.operations.computers import Registered, RegistrationRequest
from vaultd.operations.sign_in import sign_in_certificate
from vaultd.records import Figures, Identity

REPLACED = "another agent took the place of this one"


def replace(site: Site, administrator: Identity, name: str = "laptop") -> tuple[RegistrationRequest, Registered]:
    secret = computers.invite(site.vault, administrator, None, name).secret
    request = RegistrationRequest(secret, "new-machine", certificate_request()[0], os.urandom(1216))
    return request, computers.register(site.vault, computers.check_request(site.vault, request))


def sign_in(site: Site, made: Registered) -> Identity | None:
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    return sign_in_certificate(site.vault, certificate.public_bytes(Encoding.DER))


def saved(site: Site, backed_up: BackedUp) -> bytes:
    """The root hash of a committed safeset."""
    chunk = backed_up.sealer.record(DATA, os.urandom(3000))
    top = backed_up.sealer.leaf([chunk])
    site.upload(backed_up, chunk, *top)
    payload = backed_up.sealer.payload(top)
    site.commit(backed_up, backed_up.sealer.root(top, payload), payload)
    with site.vault.catalog.read() as view:
        ((key, _),) = list(view.scan("safeset_hashes"))
    return key[-32:]


def test_the_computer_keeps_id_name_jobs_and_safesets(site: Site) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    saved(site, backed_up)
    request, made = replace(site, administrator)
    old = backed_up.agent.identity
    assert (made.computer_id, made.name, made.kind) == (old.computer_id, "laptop", "pc")
    agent = sign_in(site, made)
    assert agent is not None
    assert (agent.computer_id, agent.account_id, agent.name) == (old.computer_id, old.account_id, "laptop")
    (job,) = jobs.list_for_agent(site.vault, agent)
    assert (job.job_id, job.head_sequence) == (backed_up.job.job_id, 1)
    assert [page.number for page in safesets.list_page(site.vault, agent, "laptop", "home", None, 9).safesets] == [1]
    details = computers.show(site.vault, administrator, "laptop")
    assert details.sealing_key == request.sealing_key
    assert len(computers.list_all(site.vault, administrator)) == 1
    assert not runs.begin(site.vault, agent, job.job_id, os.urandom(16), None).base_known


def test_the_agent_before_it_is_refused_whatever_it_asks(site: Site) -> None:
    """Its connections know who it was: each request looks at the catalog."""
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    root_hash = saved(site, backed_up)
    old, job_id, run_id = backed_up.agent.identity, backed_up.job.job_id, backed_up.sealer.run_id
    ticket = restore.open_restore(site.vault, old, opening(backed_up)).ticket
    stream = fetch.open_fetch(site.vault, old, ticket)
    replace(site, administrator)
    site.crash()
    vault = site.vault
    for ask in (
        lambda: jobs.list_for_agent(vault, old),
        lambda: runs.begin(vault, old, job_id, os.urandom(16), None),
        lambda: runs.add_key(vault, old, run_id, backed_up.sealer.sealed_key),
        lambda: runs.job_of_running(vault, old, run_id),
        lambda: runs.end(vault, old, run_id, "done", Figures()),
        lambda: offer.offer(vault, old, run_id, bytes(32)),
        lambda: upload.facts(vault, old, run_id),
        lambda: safesets.find(vault, old, job_id, root_hash),
        lambda: safesets.list_page(vault, old, "laptop", "home", None, 9),
        lambda: safesets.is_whole_base(vault, old, job_id, root_hash),
        lambda: restore.parameters(vault, old, None, "home"),
        lambda: restore.open_restore(vault, old, opening(backed_up)),
        lambda: fetch.open_fetch(vault, old, ticket),
    ):
        with pytest.raises(NotSignedIn, match=REPLACED):
            ask()
    with pytest.raises(NotAllowed, match="this ticket was taken back"):
        stream.fetch([bytes(32)], 100)


def test_no_ticket_of_the_agent_before_it_is_honoured(site: Site) -> None:
    """Nor one that it got when the replacement was done already."""
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    saved(site, backed_up)
    old = backed_up.agent.identity
    ticket = restore.open_restore(site.vault, old, opening(backed_up)).ticket
    replace(site, administrator)
    late = site.vault.tickets.issue(old, backed_up.job.job_id, backed_up.sealer.keyring_id)
    for one in (ticket, late):
        with pytest.raises(NotSignedIn, match=REPLACED):
            fetch.open_fetch(site.vault, old, one)


@pytest.mark.parametrize("what", ["replaced", "removed"])
def test_who_is_replaced_while_a_restore_is_opened_gets_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Its password was found right, and its ticket is not made yet when the others are taken back."""
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    saved(site, backed_up)
    old, choose = backed_up.agent.identity, restore.choose
    issued: list[bytes] = []
    issue = site.vault.tickets.issue

    def choose_late(*words: object) -> object:
        if what == "replaced":
            replace(site, administrator)
        else:
            removal.remove_computer(site.vault, administrator, "laptop")
        return choose(*words)  # type: ignore[arg-type]

    def issue_noted(*words: object) -> bytes:
        issued.append(issue(*words))  # type: ignore[arg-type]
        return issued[-1]

    monkeypatch.setattr(restore, "choose", choose_late)
    monkeypatch.setattr(type(site.vault.tickets), "issue", lambda _, *words: issue_noted(*words))
    with pytest.raises(NotSignedIn, match=REPLACED if what == "replaced" else "this computer was removed"):
        restore.open_restore(site.vault, old, opening(backed_up))
    for ticket in issued:
        with pytest.raises(NotAllowed, match="unknown or expired"):
            site.vault.tickets.find(old, ticket)


def test_a_certificate_of_the_agent_before_it_is_refused(site: Site) -> None:
    administrator = site.administrator()
    _, first = replace(site, administrator, site.agent(administrator).identity.name)
    replace(site, administrator)
    with pytest.raises(NotSignedIn, match=REPLACED):
        sign_in(site, first)
    site.crash()
    with pytest.raises(NotSignedIn, match=REPLACED):
        sign_in(site, first)


def test_a_run_that_goes_on_is_aborted_and_a_secret_that_waits_is_gone(site: Site) -> None:
    """The secret is sealed to a key that is gone: the new agent would fail at it."""
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    site.job(administrator, backed_up.agent, "waiting")
    _, made = replace(site, administrator)
    (run,) = jobs.show(site.vault, administrator, "laptop", "home").runs
    assert (run.outcome, run.end_ns) == ("aborted", site.clock.now_ns())
    agent = sign_in(site, made)
    assert agent is not None
    assert {job.name: job.secret for job in jobs.list_for_agent(site.vault, agent)} == {"home": None, "waiting": None}


def test_the_code_replaces_once_and_the_same_request_is_answered_again(site: Site) -> None:
    administrator = site.administrator()
    site.agent(administrator)
    request, made = replace(site, administrator)
    again = computers.check_request(site.vault, request)
    assert computers.register(site.vault, again).computer_id == made.computer_id
    assert sign_in(site, made) is not None
    other = RegistrationRequest(request.secret, "laptop", certificate_request()[0], os.urandom(1216))
    with pytest.raises(NotAllowed, match="unknown, used or expired"):
        computers.register(site.vault, computers.check_request(site.vault, other))
    replace(site, administrator)
    with pytest.raises(NotAllowed, match="unknown, used or expired"):
        computers.register(site.vault, again)


def test_a_replaced_key_is_never_a_computers_again(site: Site) -> None:
    administrator = site.administrator()
    agent = site.agent(administrator)
    replace(site, administrator)
    secret = computers.invite(site.vault, administrator, "pc").secret
    request = RegistrationRequest(secret, "x", agent.certificate_request, bytes(1216))
    with pytest.raises(Conflict, match="this agent key is registered already"):
        computers.register(site.vault, computers.check_request(site.vault, request))


def test_the_computer_of_another_account_is_not_replaced(site: Site) -> None:
    site.agent(site.administrator())
    other = site.administrator("other")
    said = []
    for name in ("laptop", "nothing"):
        with pytest.raises(NotFound) as refused:
            computers.invite(site.vault, other, None, name)
        said.append(refused.value.message.replace(name, "NAME"))
    assert said[0] == said[1]


@pytest.mark.parametrize(("kind", "expected"), [(None, "pc"), ("server", "server")])
def test_the_kind_stays_unless_another_one_is_said(site: Site, kind: str | None, expected: str) -> None:
    administrator = site.administrator()
    site.agent(administrator)
    secret = computers.invite(site.vault, administrator, kind, "LAPTOP").secret
    request = RegistrationRequest(secret, "x", certificate_request()[0], os.urandom(1216))
    assert computers.register(site.vault, computers.check_request(site.vault, request)).kind == expected


def test_a_removed_computer_is_not_replaced(site: Site) -> None:
    """Nothing takes a removal back; a code that was made before it is no way either."""
    administrator = site.administrator()
    site.agent(administrator)
    secret = computers.invite(site.vault, administrator, None, "laptop").secret
    removal.remove_computer(site.vault, administrator, "laptop")
    request = RegistrationRequest(secret, "x", certificate_request()[0], os.urandom(1216))
    with pytest.raises(NotAllowed, match="unknown, used or expired"):
        computers.register(site.vault, computers.check_request(site.vault, request))
    with pytest.raises(Conflict, match="computer 'laptop' was removed"):
        computers.invite(site.vault, administrator, None, "laptop")
