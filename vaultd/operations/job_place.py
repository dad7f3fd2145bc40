"""How a finding names a job: by account, computer and name; what has no name any more by its id."""

from vaultd.catalog.accounts import read_account
from vaultd.catalog.computers import read_computer
from vaultd.catalog.database import View
from vaultd.records import Job


def job_place(view: View, job: Job) -> str:
    account, computer = read_account(view, job.account_id), read_computer(view, job.account_id, job.computer_id)
    account_name = job.account_id.hex() if account is None else account.name
    computer_name = job.computer_id.hex() if computer is None else computer.name
    return f"account {account_name}, computer {computer_name}, job {job.name}"
