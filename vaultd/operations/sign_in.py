"""Who is at the other end: a person by a token, an agent by the key of its certificate. None is the answer to
everybody else.
"""

from vaultd.catalog.computers import find_by_tls_key, is_known_tls_key, tls_key_hash
from vaultd.catalog.credentials import find_identity
from vaultd.operations.access import removed_computer, replaced_agent
from vaultd.operations.authority import spki_of_certificate
from vaultd.operations.vault import Vault
from vaultd.records import AgentIdentity, Identity, Role


def sign_in_token(vault: Vault, token: bytes) -> Identity | None:
    with vault.catalog.read() as view:
        return find_identity(view, token)


def sign_in_certificate(vault: Vault, certificate_der: bytes) -> AgentIdentity | None:
    """The dates of the certificate do not matter, its key does. NotSignedIn for a computer that was removed, and for an
    agent whose place another one took.
    """
    try:
        tls_key = spki_of_certificate(certificate_der)
    except ValueError:
        return None
    with vault.catalog.read() as view:
        computer = find_by_tls_key(view, tls_key)
        if computer is None and is_known_tls_key(view, tls_key):
            raise replaced_agent()
    if computer is None:
        return None
    if computer.removed_ns:
        raise removed_computer()
    return AgentIdentity(
        computer.computer_id, computer.account_id, Role.AGENT, computer.name, tls_key_hash(computer.tls_key)
    )
