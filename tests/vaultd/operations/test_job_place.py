"""How a finding names a job, also where the rows that have the names are gone."""

from pathlib import Path

from msgspec.structs import replace

from tests.vaultd.operations.small_site import make_site
from vaultd.catalog.jobs import read_job
from vaultd.operations.job_place import job_place
from vaultd.operations.vault import close_vault

UNKNOWN = b"\xab" * 16


def test_a_job_is_named_by_names_and_what_has_none_by_its_id(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    ready = site.ready(site.administrator(), "laptop")
    with site.vault.catalog.read() as view:
        job = read_job(view, ready.agent.identity.account_id, ready.sealer.job_id)
        assert job is not None
        assert job_place(view, job) == "account acme, computer laptop, job home"
        assert job_place(view, replace(job, computer_id=UNKNOWN)) == f"account acme, computer {'ab' * 16}, job home"
        nobody = replace(job, account_id=UNKNOWN)
        assert job_place(view, nobody) == f"account {'ab' * 16}, computer {job.computer_id.hex()}, job home"
    close_vault(site.vault)
