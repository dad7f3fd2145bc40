"""The offline check's list of what disks that are away or lost hit: account, computer, job and safeset, by name."""

from collections.abc import Iterator

from vaultd.catalog.database import View
from vaultd.catalog.safesets import list_safesets, place_of
from vaultd.operations.disk_hits import DiskPlaces, Hit, HitWalk
from vaultd.operations.disks import SafesetHit, name_hit
from vaultd.operations.tree_walk import Records
from vaultd.records import Job
from vaultd.store.disk_set import Disks
from vaultd.store.findings import Finding, Severity
from vaultd.store.index import Index


class HitCheck:
    def __init__(self, view: View, disks: Disks, index: Index, records: Records) -> None:
        self._view = view
        self._disks = {disk.disk_id: disk for disk in disks.known if disks.find_id(disk.disk_id) is None}
        self._places = DiskPlaces(index.containers().values(), self._disks.keys())
        self._records = records

    def check_job(self, job: Job) -> Iterator[Finding]:
        if self._places.is_empty:
            return
        walk = HitWalk(self._records, self._places)
        for safeset in list_safesets(self._view, job.account_id, job.job_id):
            key = job.account_id + job.job_id + place_of(safeset.timeline, safeset.sequence)
            for disk_id, hit in walk.run(safeset).items():
                yield self._finding(disk_id, name_hit(self._view, key, safeset, hit), hit)

    def _finding(self, disk_id: bytes, named: SafesetHit, hit: Hit) -> Finding:
        disk = self._disks[disk_id]
        place = f"account {named.account}, computer {named.computer}, job {named.job}, safeset {named.number}"
        many = f"{'at least ' if hit.at_least else ''}{hit.records} records that it uses"
        if disk.is_lost:
            return Finding(Severity.damage, place, f"{many} lay on {disk.sentence_name()}, which is lost")
        return Finding(Severity.warning, place, f"{many} lie on {disk.sentence_name()}, which is offline")
