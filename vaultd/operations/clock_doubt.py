"""A clock that jumped removes nothing: from then on nothing expires until an operator says that the clock is right."""

import msgspec

from vaultd.catalog.clock_doubts import read_doubt, save_doubt
from vaultd.errors import Conflict
from vaultd.operations import ledger
from vaultd.operations.auditing import audited
from vaultd.operations.vault import Vault
from vaultd.records import ClockDoubt, Identity


def doubt(vault: Vault, jump_seconds: int) -> None:
    """W."""
    ledger.record(vault, save_doubt(ClockDoubt(jump_seconds, vault.clock.now_ns())))


def is_doubted(vault: Vault) -> bool:
    with vault.catalog.read() as view:
        found = read_doubt(view)
        return found is not None and not found.accepted_ns


def certain_ns(vault: Vault) -> int:
    """Now, for what says which safesets are older, or how many days have passed."""
    if is_doubted(vault):
        raise Conflict(
            "the vault's clock jumped, so that nobody knows which safesets are older, or how many days have passed",
            "ask again when the operator has accepted the clock (`vaultctl clock accept`)",
        )
    return vault.clock.now_ns()


def accept(vault: Vault, identity: Identity) -> ClockDoubt:
    """W."""
    with vault.catalog.read() as view:
        found = read_doubt(view)
        if found is None or found.accepted_ns:
            raise Conflict("the vault's clock is not doubted")
        audit = audited(vault, view, identity, "clock.accept", f"{found.jump_seconds} seconds")
    accepted = msgspec.structs.replace(found, accepted_ns=vault.clock.now_ns())
    ledger.record(vault, [*save_doubt(accepted), *audit])
    return accepted
