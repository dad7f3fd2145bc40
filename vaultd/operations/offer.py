"""Answering which ids of an offer are not here."""

from dataclasses import dataclass

from vaultd.errors import BadRequest
from vaultd.operations.access import active_run
from vaultd.operations.store_errors import translated
from vaultd.operations.vault import Vault
from vaultd.records import Identity

ID_BYTES = 32
IDS_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Offered:
    """Bit i of the bitmap (byte i // 8, least significant first) is 1 where id i is missing."""

    missing: int
    bitmap: bytes


def offer(vault: Vault, identity: Identity, run_id: bytes, ids: bytes | memoryview) -> Offered:
    """Only what is durable is not missing."""
    if len(ids) % ID_BYTES or len(ids) > IDS_MAX * ID_BYTES:
        raise BadRequest(f"ids: {len(ids)} bytes are not up to {IDS_MAX} ids of {ID_BYTES} bytes")
    with vault.catalog.read() as view:
        run, _ = active_run(view, identity, run_id)
    data = bytes(ids)
    # Before the look-up: what it finds stays until the run ends.
    vault.leases.lease(run.account_id, run_id, run.keyring_id, data)
    asked = [data[at : at + ID_BYTES] for at in range(0, len(data), ID_BYTES)]
    with translated():
        missing = vault.store.missing(run.keyring_id, asked)
    return Offered(sum(missing), _bitmap(missing))


def _bitmap(bits: list[bool]) -> bytes:
    """One number whose binary digits are the bits, the first one lowest."""
    digits = "".join("1" if bit else "0" for bit in reversed(bits))
    return int(digits or "0", 2).to_bytes((len(bits) + 7) // 8, "little")
