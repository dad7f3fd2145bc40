"""The very first contact with a vault: its authority is believed by the fingerprint in an invite code."""

import hashlib
import hmac
import ssl

from protocol.messages.session import AuthorityAnswer, AuthorityRequest
from tools.client.failure import Failure
from tools.client.invite_code import AUTHORITY_FINGERPRINT_BYTES
from tools.client.session import Endpoint, connected


async def fetch_authority(url: str, expected_fingerprint: bytes) -> str:
    """The site's authority (PEM) at the first contact: taken from anybody, believed only if its fingerprint fits.

    `expected_fingerprint` is the first 20 bytes of the SHA-256 of the certificate (DER), from an invite code.
    """
    async with connected(Endpoint(url, ""), _unverified_context(), "first contact") as session:
        answer, _ = await session.ask("authority", AuthorityRequest(), AuthorityAnswer)
        return _checked_authority(answer.certificate_pem, expected_fingerprint, url)


def _unverified_context() -> ssl.SSLContext:
    """For the question that needs no trust, because its answer is compared with the invite code's fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    return context


def _checked_authority(certificate_pem: str, expected_fingerprint: bytes, url: str) -> str:
    """The compared certificate, encoded anew: nothing that stood beside it gets into the pinned text."""
    try:
        certificate = ssl.PEM_cert_to_DER_cert(certificate_pem.strip())
        if ssl.DER_cert_to_PEM_cert(certificate).strip() != certificate_pem.strip():
            raise ValueError("more than one certificate")
    except ValueError:
        certificate = b""
    found = hashlib.sha256(certificate).digest()[: len(expected_fingerprint)]
    if len(expected_fingerprint) != AUTHORITY_FINGERPRINT_BYTES or not hmac.compare_digest(found, expected_fingerprint):
        raise Failure(
            "not_allowed",
            f"the server at {url} is not the vault that made the invite code: its authority is another one",
            "check the URL and the code; if both are right, somebody stands between you and the vault",
        )
    return ssl.DER_cert_to_PEM_cert(certificate)
