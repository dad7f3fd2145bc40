"""Which safesets' trees were seen whole since this process started, per job: what shares them need not be looked up
again. Two at most: the newest, and the base of a run that goes on.

A record can become unknown only while the vault is down (an index made anew beside damage), and missing when a read
finds it damaged, its disk is declared lost or its run key given up or distrusted. The store numbers these
events, by keyring but for disks. So the first run of a job after a start, or after one of them, has its base looked up
whole; later ones only what is new.

Threads: any; each step is one dictionary operation.
"""

from vaultd.store.damage_notes import DamageMet


class TreeTrust:
    def __init__(self) -> None:
        self._whole: dict[bytes, tuple[frozenset[bytes], DamageMet]] = {}

    def is_whole(self, job_id: bytes, root_hash: bytes, damage_met: DamageMet) -> bool:
        hashes, counted = self._whole.get(job_id, (frozenset(), damage_met))
        return counted == damage_met and root_hash in hashes

    def seen_whole(self, job_id: bytes, root_hash: bytes, damage_met: DamageMet, beside: bytes = b"") -> None:
        """`damage_met`: what the store said of the tree's keyring before the tree was looked at. `beside` is the hash
        of another that stays, if it was seen whole by the same.
        """
        kept = {beside} if self.is_whole(job_id, beside, damage_met) else set()
        self._whole[job_id] = (frozenset({root_hash, *kept}), damage_met)
