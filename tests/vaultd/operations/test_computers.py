"""Codes and registration: used once, for seven days, and telling nothing to whoever guesses."""

import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.vaultd.operations.small_site import Agent, Site, certificate_request
from vaultd.errors import BadRequest, Conflict, NotAllowed, NotFound
from vaultd.operations import computers
from vaultd.operations.computers import Registered, RegistrationRequest
from vaultd.operations.sign_in import sign_in_certificate
from vaultd.operations.vault import Vault
from vaultd.records import Identity

SEVEN_DAYS_SECONDS = 7 * 24 * 3600


def register_now(vault: Vault, request: RegistrationRequest) -> Registered:
    return computers.register(vault, computers.check_request(vault, request))


def register(site: Site, administrator: Identity, name: str = "laptop") -> tuple[RegistrationRequest, Registered]:
    secret = computers.invite(site.vault, administrator, "pc").secret
    request = RegistrationRequest(secret, name, certificate_request()[0], os.urandom(1216))
    return request, register_now(site.vault, request)


def test_a_registered_agent_signs_in_with_its_certificate(site: Site) -> None:
    administrator = site.administrator()
    _, made = register(site, administrator)
    assert (made.account_id, made.name, made.kind) == (administrator.account_id, "laptop", "pc")
    assert len(made.vault_key) == 32
    certificate = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    authority = x509.load_pem_x509_certificate(made.authority_pem.encode())
    certificate.verify_directly_issued_by(authority)
    identity = sign_in_certificate(site.vault, certificate.public_bytes(Encoding.DER))
    assert identity is not None
    assert (identity.computer_id, identity.account_id) == (made.computer_id, administrator.account_id)


def test_a_certificate_that_nobody_registered_is_nobody(site: Site) -> None:
    authority = x509.load_pem_x509_certificate(site.made.authority_pem.encode())
    assert sign_in_certificate(site.vault, authority.public_bytes(Encoding.DER)) is None
    assert sign_in_certificate(site.vault, b"no certificate") is None


def test_a_code_is_used_once(site: Site) -> None:
    request, _ = register(site, site.administrator())
    other = RegistrationRequest(request.secret, "second", certificate_request()[0], os.urandom(1216))
    with pytest.raises(NotAllowed, match="unknown, used or expired"):
        register_now(site.vault, other)


def test_the_same_request_again_is_answered_again(site: Site) -> None:
    administrator = site.administrator()
    request, made = register(site, administrator)
    site.clock.advance(SEVEN_DAYS_SECONDS)
    assert register_now(site.vault, request) == made
    assert len(computers.list_all(site.vault, administrator)) == 1


@pytest.mark.parametrize(("seconds", "taken"), [(SEVEN_DAYS_SECONDS - 1, True), (SEVEN_DAYS_SECONDS, False)])
def test_a_code_lives_seven_days_by_the_vaults_clock(site: Site, seconds: int, taken: bool) -> None:
    administrator = site.administrator()
    invited = computers.invite(site.vault, administrator, "server")
    assert invited.expires_ns == site.clock.now_ns() + SEVEN_DAYS_SECONDS * 1_000_000_000
    site.clock.advance(seconds)
    request = RegistrationRequest(invited.secret, "s", certificate_request()[0], os.urandom(1216))
    if taken:
        assert register_now(site.vault, request).kind == "server"
    else:
        with pytest.raises(NotAllowed, match="unknown, used or expired"):
            register_now(site.vault, request)


def test_a_guessed_code_gets_the_same_sentence(site: Site) -> None:
    request = RegistrationRequest(bytes(16), "x", certificate_request()[0], bytes(1216))
    with pytest.raises(NotAllowed, match="unknown, used or expired"):
        register_now(site.vault, request)


def test_a_guess_is_refused_before_its_certificate_request_is_parsed(site: Site) -> None:
    with pytest.raises(NotAllowed, match="unknown, used or expired"):
        register_now(site.vault, RegistrationRequest(bytes(16), "x", b"no request", bytes(1216)))
    request, _ = register(site, site.administrator())
    computers.check_request(site.vault, request)


def test_a_refused_registration_leaves_the_code_usable(site: Site) -> None:
    administrator = site.administrator()
    site.agent(administrator, "laptop")
    secret = computers.invite(site.vault, administrator, "pc").secret
    csr = certificate_request()[0]
    with pytest.raises(Conflict, match="'LAPTOP' is registered already"):
        register_now(site.vault, RegistrationRequest(secret, "LAPTOP", csr, bytes(1216)))
    with pytest.raises(BadRequest, match="sealing_key must have 1216 bytes"):
        register_now(site.vault, RegistrationRequest(secret, "desk", csr, bytes(5)))
    with pytest.raises(BadRequest, match="certificate_request"):
        register_now(site.vault, RegistrationRequest(secret, "desk", b"no", bytes(1216)))
    assert register_now(site.vault, RegistrationRequest(secret, "desk", csr, bytes(1216))).name == "desk"


def test_one_agent_key_is_one_computer(site: Site) -> None:
    agent: Agent = site.agent(site.administrator())
    other = site.administrator("other")
    secret = computers.invite(site.vault, other, "pc").secret
    with pytest.raises(Conflict, match="this agent key is registered already"):
        register_now(site.vault, RegistrationRequest(secret, "x", agent.certificate_request, bytes(1216)))


def test_an_unknown_kind_is_refused(site: Site) -> None:
    with pytest.raises(BadRequest, match="kind must be pc or server, not 'tablet'"):
        computers.invite(site.vault, site.administrator(), "tablet")


def test_computers_of_others_do_not_exist(site: Site) -> None:
    site.agent(site.administrator(), "laptop")
    other = site.administrator("other")
    assert computers.list_all(site.vault, other) == []
    messages = []
    for name in ("laptop", "nothing"):
        with pytest.raises(NotFound) as refused:
            computers.show(site.vault, other, name)
        messages.append(refused.value.message.replace(name, "NAME"))
    assert messages == ["computer 'NAME' does not exist"] * 2


def test_show_has_both_keys(site: Site) -> None:
    administrator = site.administrator()
    agent = site.agent(administrator)
    details = computers.show(site.vault, administrator, "laptop")
    assert (details.tls_key, details.sealing_key) == (agent.spki, agent.sealing_key)
    text = details.computer.agent_key
    assert [len(group) for group in text.split("-")] == [4] * 8
