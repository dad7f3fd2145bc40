"""Judgements of openssl, which knows nothing of this project."""

import subprocess
from pathlib import Path

# SubjectPublicKeyInfo of Ed25519 (RFC 8410) up to the 32 bytes of the key.
SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")


def ed25519_verifies(directory: Path, public_key: bytes, signature: bytes, signed: bytes) -> bool:
    files = {"key": SPKI_HEAD + public_key, "signature": signature, "signed": signed}
    for name, data in files.items():
        (directory / name).write_bytes(data)
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin"]
    words += ["-in", "signed", "-sigfile", "signature"]
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
    assert "Verified" in done.stdout or "Verification Failure" in done.stdout + done.stderr, done.stderr
    return done.returncode == 0
