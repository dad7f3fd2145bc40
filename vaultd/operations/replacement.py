"""Another agent takes the place of a computer's: the computer keeps id, name, jobs and safesets.

The agent before it is nobody from then on, also on connections that it has open: `access.own_computer` compares its key
with the computer's. A run of it that goes on is aborted in the same entry of the journal.
"""

from dataclasses import dataclass

import msgspec

from vaultd.catalog.computers import save_replaced
from vaultd.catalog.database import View
from vaultd.catalog.jobs import list_computer_jobs, read_secret, remove_secret
from vaultd.operations.restore_orders import cancelled_with
from vaultd.operations.runs import end_active
from vaultd.records import Change, Computer


@dataclass(frozen=True, slots=True)
class NewKeys:
    """What the agent that comes brings along."""

    kind: str
    tls_key: bytes
    sealing_key: bytes
    certificate_pem: bytes


def replace_agent(view: View, old: Computer, keys: NewKeys, now_ns: int) -> tuple[Computer, list[Change]]:
    """The computer with its new agent, and what changes in the catalog."""
    computer = msgspec.structs.replace(
        old,
        kind=keys.kind,
        last_seen_ns=now_ns,
        tls_key=keys.tls_key,
        sealing_key=keys.sealing_key,
        certificate_pem=keys.certificate_pem,
    )
    changes = [*save_replaced(computer), *cancelled_with(view, old, now_ns)]
    for job in list_computer_jobs(view, old.account_id, old.computer_id):
        if read_secret(view, job) is not None:  # sealed to the old agent's key: nobody can open it any more
            changes += remove_secret(job)
        changes += end_active(view, job, now_ns)
    return computer, changes
