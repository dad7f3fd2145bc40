"""The certificate request with which an agent registers. Apart from its keys: every command needs those, and
only registering needs what certificates are made of.
"""

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tools.client.agent_key import AgentKey


def certificate_request(key: AgentKey, name: str) -> bytes:
    """DER; the vault decides what the certificate says."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key.tls_key(), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)
