"""The public parts of a job's safesets, for the agent that follows its own signatures from one to the next."""

from itertools import islice

from vaultd.catalog.safesets import safesets_after
from vaultd.operations import access
from vaultd.operations.vault import Vault
from vaultd.records import Identity


def roots_after(vault: Vault, identity: Identity, job_id: bytes, sequence: int, count_max: int) -> list[bytes]:
    """Roots of the job's timeline in the order of their numbers; fewer than `count_max` when these are all."""
    with vault.catalog.read() as view:
        job = access.own_job(view, identity, job_id)
        return [safeset.root for safeset in islice(safesets_after(view, job, sequence), count_max)]
