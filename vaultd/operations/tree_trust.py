"""Which safeset's tree was seen whole since this process started, per job: what shares it need not be looked up again.

A record can become unknown only while the vault is down (an index made anew beside damage), and missing when a read
finds it damaged, its disk is declared lost or its run key given up. The store counts these three. So the first run of a
job after a start, or after one of them, has its base looked up whole; later ones only what is new.

Threads: any; each step is one dictionary operation.
"""


class TreeTrust:
    def __init__(self) -> None:
        self._whole: dict[bytes, tuple[bytes, int]] = {}

    def is_whole(self, job_id: bytes, root_hash: bytes, damage_met: int) -> bool:
        return self._whole.get(job_id) == (root_hash, damage_met)

    def seen_whole(self, job_id: bytes, root_hash: bytes, damage_met: int) -> None:
        """`damage_met`: the store's count before the tree was looked at."""
        self._whole[job_id] = (root_hash, damage_met)
