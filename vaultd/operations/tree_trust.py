"""Which safeset's tree was seen whole since this process started, per job: what shares it need not be looked up again.

A record can become unknown only while the vault is down (an index made anew beside damage), so the first commit of a
job after a start looks everything up, and later ones only what is new. A base whose tree has a gap is not offered as
a base again: the next run then offers everything and fills the gap.

Threads: any; each step is one dictionary operation.
"""


class TreeTrust:
    def __init__(self) -> None:
        self._whole: dict[bytes, bytes] = {}
        self._broken: dict[bytes, bytes] = {}

    def is_whole(self, job_id: bytes, root_hash: bytes) -> bool:
        return self._whole.get(job_id) == root_hash

    def is_broken(self, job_id: bytes, root_hash: bytes) -> bool:
        return self._broken.get(job_id) == root_hash

    def seen_whole(self, job_id: bytes, root_hash: bytes) -> None:
        self._whole[job_id] = root_hash
        self._broken.pop(job_id, None)

    def seen_broken(self, job_id: bytes, root_hash: bytes) -> None:
        self._broken[job_id] = root_hash
        self._whole.pop(job_id, None)
