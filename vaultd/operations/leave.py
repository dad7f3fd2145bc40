"""Leave to restore a job of another computer of the account: by a grant, or as long as a restore order for it is open.

An order keeps no leave anywhere: whatever ends it ends the leave, and no two of them can get into each other's way.
"""

from vaultd.catalog.database import View
from vaultd.catalog.grants import read_grant
from vaultd.catalog.jobs import read_job
from vaultd.catalog.restore_orders import readable_orders
from vaultd.operations.vault import Vault
from vaultd.policy.grant_life import is_grant_good
from vaultd.policy.order_life import gives_leave
from vaultd.records import Grant, OrderState


def good_grant(view: View, account_id: bytes, job_id: bytes, computer_id: bytes, now_ns: int) -> Grant | None:
    grant = read_grant(view, account_id, job_id, computer_id)
    is_good = grant is not None and is_grant_good(grant.created_ns, grant.expires_ns, grant.first_used_ns, now_ns)
    return grant if is_good else None


def is_ordered(view: View, account_id: bytes, job_id: bytes, computer_id: bytes, now_ns: int) -> bool:
    """Whether an order that this computer restores this job is open."""
    return any(
        gives_leave(order.created_ns, order.expires_ns, now_ns, is_running=order.state is OrderState.RUNNING)
        for _, order in readable_orders(view, account_id)
        if (order.job_id, order.computer_id) == (job_id, computer_id) and order.state.is_open
    )


def take_back_tickets(vault: Vault, account_id: bytes, job_id: bytes, computer_id: bytes) -> None:
    """After leave ended: the computer's tickets for the job go with the last of it. Its own jobs need none."""
    now_ns = vault.clock.now_ns()
    with vault.catalog.read() as view:
        job = read_job(view, account_id, job_id)
        if job is not None and job.computer_id == computer_id:
            return
        parties = account_id, job_id, computer_id
        has_leave = is_ordered(view, *parties, now_ns) or good_grant(view, *parties, now_ns) is not None
    if not has_leave:
        vault.tickets.take_back(computer_id, job_id)
