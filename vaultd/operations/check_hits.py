"""The offline check's look at what disks that are away or lost hit of each safeset."""

from collections.abc import Iterator

from vaultd.operations.disk_hits import DiskPlaces, Hit, HitWalk
from vaultd.operations.tree_walk import Records
from vaultd.records import Job, Safeset
from vaultd.store.disks.disk_set import Disks
from vaultd.store.findings import Severity
from vaultd.store.index.index import Index


class HitCheck:
    """For the safesets of one job after another."""

    def __init__(self, disks: Disks, index: Index, records: Records) -> None:
        self._disks = {disk.disk_id: disk for disk in disks.known if disks.find_id(disk.disk_id) is None}
        self.places = DiskPlaces(index.containers().values(), self._disks.keys())
        self._records = records
        self._walk = HitWalk(records, self.places)
        self._job_id = b""

    def run(self, job: Job, safeset: Safeset) -> Iterator[tuple[Severity, str]]:
        if self.places.is_empty:
            return
        if job.job_id != self._job_id:
            self._walk, self._job_id = HitWalk(self._records, self.places), job.job_id
        for disk_id, hit in self._walk.run(safeset).items():
            yield self._told(disk_id, hit)

    def _told(self, disk_id: bytes, hit: Hit) -> tuple[Severity, str]:
        disk = self._disks[disk_id]
        many = f"{'at least ' if hit.at_least else ''}{hit.records} records that it uses"
        if disk.is_lost:
            return Severity.damage, f"{many} lay on {disk.sentence_name()}, which is lost"
        return Severity.warning, f"{many} lie on {disk.sentence_name()}, which is offline"
