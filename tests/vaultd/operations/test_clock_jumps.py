"""The vault's clock jumps ten years, forward or back, while it runs or between two starts: nothing is lost, nothing is
refused for good, and nothing takes another place for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest
from blake3 import blake3
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.vaultd.operations.sealing import DATA
from tests.vaultd.operations.small_site import PROOF, BackedUp, Site, certificate_request
from vaultd.errors import NotAllowed
from vaultd.operations import computers, fetch, jobs, restore, safesets
from vaultd.operations.check import check_vault
from vaultd.operations.computers import RegistrationRequest
from vaultd.operations.restore import OpenRequest
from vaultd.operations.sign_in import sign_in_certificate, sign_in_token
from vaultd.operations.vault import close_vault, open_vault, write_checkpoint
from vaultd.records import Identity
from vaultd.store.disk_door import SystemDoor

YEAR_NS = 365 * 24 * 3600 * 1_000_000_000

Jump = Callable[[Site], None]


def running(years: int) -> Jump:
    def jump(site: Site) -> None:
        site.clock.time_ns += years * YEAR_NS

    return jump


def across_a_restart(years: int) -> Jump:
    def jump(site: Site) -> None:
        close_vault(site.vault)
        site.clock.time_ns += years * YEAR_NS
        site.vault = open_vault(site.config, site.clock, SystemDoor())

    return jump


def across_a_crash(years: int) -> Jump:
    def jump(site: Site) -> None:
        site.clock.time_ns += years * YEAR_NS
        site.crash()

    return jump


JUMPS = [make(years) for make in (running, across_a_restart, across_a_crash) for years in (10, -10)]
every_jump = pytest.mark.parametrize("jump", JUMPS)


def back_up(site: Site, backed_up: BackedUp, number: int, previous: bytes) -> tuple[bytes, bytes]:
    """The next safeset of the job: its chunk and its root's hash."""
    chunk = backed_up.sealer.record(DATA, os.urandom(1000))
    top = backed_up.sealer.leaf([chunk])
    site.upload(backed_up, chunk, *top)
    payload = backed_up.sealer.payload(top)
    root = backed_up.sealer.root(top, payload, sequence=number, previous=previous)
    assert site.commit(backed_up, root, payload).time_ns == site.clock.now_ns()
    site.end(backed_up)
    return chunk, blake3(root).digest()


def restored_chunk(site: Site, backed_up: BackedUp, number: int, chunk: bytes) -> bytes:
    identity = backed_up.agent.identity
    wanted = OpenRequest(None, "home", backed_up.slot_id, PROOF, number)
    ticket = restore.open_restore(site.vault, identity, wanted).ticket
    (found,) = fetch.open_fetch(site.vault, identity, ticket).fetch([chunk[40:72]], 1 << 20).records
    assert isinstance(found, bytes)
    return found


def register(site: Site, administrator: Identity, name: str) -> bytes:
    """The certificate (DER) of a computer that registered with a new code."""
    secret = computers.invite(site.vault, administrator, "pc").secret
    request = RegistrationRequest(secret, name, certificate_request()[0], os.urandom(1216))
    made = computers.register(site.vault, computers.check_request(site.vault, request))
    return x509.load_pem_x509_certificate(made.certificate_pem.encode()).public_bytes(Encoding.DER)


def rows(site: Site) -> list[object]:
    with site.vault.catalog.read() as view:
        return list(view.rows())


@every_jump
def test_backups_and_restores_go_on_and_keep_their_order(site: Site, jump: Jump) -> None:
    administrator = site.administrator()
    backed_up = site.ready(administrator)
    identity = backed_up.agent.identity
    kept, previous = [], bytes(32)
    for number in range(1, 5):
        if number > 1:
            # The newest is a base whatever its time is.
            assert site.begin(backed_up, base=previous).base_known
        chunk, previous = back_up(site, backed_up, number, previous)
        kept.append(chunk)
        if number in (2, 3):
            jump(site)
    page = safesets.list_page(site.vault, identity, "laptop", "home", None, 10)
    assert [one.number for one in page.safesets] == [1, 2, 3, 4]
    for number, chunk in enumerate(kept, 1):
        assert restored_chunk(site, backed_up, number, chunk) == chunk
    assert restored_chunk(site, backed_up, 0, kept[-1]) == kept[-1]
    runs = jobs.show(site.vault, administrator, "laptop", "home").runs
    assert [(run.outcome, run.sequence) for run in runs] == [("done", number) for number in (4, 3, 2, 1)]


@every_jump
def test_a_run_that_the_jump_meets_goes_on(site: Site, jump: Jump) -> None:
    """Between its key, its records and its root."""
    backed_up = site.ready()
    chunks = [backed_up.sealer.record(DATA, os.urandom(500)) for _ in range(2)]
    site.upload(backed_up, chunks[0])
    jump(site)
    top = backed_up.sealer.leaf(chunks)
    site.upload(backed_up, chunks[1], *top)
    payload = backed_up.sealer.payload(top)
    assert site.commit(backed_up, backed_up.sealer.root(top, payload), payload).sequence == 1
    assert restored_chunk(site, backed_up, 1, chunks[0]) == chunks[0]


@every_jump
def test_everybody_signs_in_and_codes_can_be_made(site: Site, jump: Jump) -> None:
    administrator = site.administrator()
    certificates = [register(site, administrator, "before")]
    jump(site)
    assert sign_in_token(site.vault, site.made.operator_token) is not None
    certificates.append(register(site, administrator, "after"))
    signed_in = [sign_in_certificate(site.vault, certificate) for certificate in certificates]
    assert [agent.name for agent in signed_in if agent] == ["before", "after"]


@pytest.mark.parametrize("years", [10, -10])
def test_a_code_is_refused_as_long_as_the_clock_is_wrong(site: Site, years: int) -> None:
    administrator = site.administrator()
    secret = computers.invite(site.vault, administrator, "pc").secret
    request = RegistrationRequest(secret, "new", certificate_request()[0], os.urandom(1216))
    running(years)(site)
    with pytest.raises(NotAllowed, match="unknown, used or expired"):
        computers.register(site.vault, computers.check_request(site.vault, request))
    running(-years)(site)
    assert computers.register(site.vault, computers.check_request(site.vault, request)).name == "new"


def test_an_open_restore_goes_on(site: Site) -> None:
    """How long its ticket lives is no matter of the wall clock."""
    backed_up = site.ready()
    chunk, _ = back_up(site, backed_up, 1, bytes(32))
    identity = backed_up.agent.identity
    wanted = OpenRequest(None, "home", backed_up.slot_id, PROOF, 1)
    ticket = restore.open_restore(site.vault, identity, wanted).ticket
    for years in (10, -20):
        running(years)(site)
        assert fetch.open_fetch(site.vault, identity, ticket).fetch([chunk[40:72]], 1 << 20).records == [chunk]


@every_jump
def test_index_and_catalog_come_back_whatever_the_times_of_checkpoints_and_journal_are(site: Site, jump: Jump) -> None:
    """The newest checkpoint is that of the greatest number; one that was made ten years "later" is not."""
    backed_up = site.ready()
    previous = bytes(32)
    for number in (1, 2, 3):
        if number > 1:
            site.begin(backed_up, base=previous)
        _, previous = back_up(site, backed_up, number, previous)
        write_checkpoint(site.vault)
        jump(site)
    expected = rows(site)
    close_vault(site.vault)
    report = check_vault(site.config, SystemDoor(), read_data=True)
    assert report.findings == []
    for name in ("index", "catalog"):
        shutil.rmtree(site.config.directory / name)
    site.vault = open_vault(site.config, site.clock, SystemDoor())
    assert rows(site) == expected
    assert site.vault.recovery.findings == []


@pytest.mark.parametrize("agent_time_ns", [-(2**63), -10 * YEAR_NS, 0, 400 * YEAR_NS // 2, 2**63 - 1])
def test_the_clock_of_an_agent_decides_nothing(site: Site, agent_time_ns: int) -> None:
    """Its time is in the root that it signed; order and time of the safeset are the vault's."""
    backed_up = site.ready()
    chunk = backed_up.sealer.record(DATA, os.urandom(1000))
    top = backed_up.sealer.leaf([chunk])
    site.upload(backed_up, chunk, *top)
    payload = backed_up.sealer.payload(top)
    root = backed_up.sealer.root(top, payload, agent_time_ns=agent_time_ns)
    committed = site.commit(backed_up, root, payload)
    assert (committed.sequence, committed.time_ns) == (1, site.clock.now_ns())
