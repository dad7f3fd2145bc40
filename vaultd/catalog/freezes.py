"""Whether anything of a job may end. A job without a row was never frozen."""

from vaultd.catalog.database import View
from vaultd.catalog.rows import decode, put, read
from vaultd.records import Change, Freeze


def save_freeze(account_id: bytes, job_id: bytes, freeze: Freeze) -> list[Change]:
    return [put("freezes", account_id + job_id, freeze)]


def read_freeze(view: View, account_id: bytes, job_id: bytes) -> Freeze | None:
    return read(view, "freezes", account_id + job_id, Freeze)


def count_frozen(view: View) -> int:
    return sum(decode("freezes", key, value, Freeze).is_on for key, value in view.scan("freezes"))
