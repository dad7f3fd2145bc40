"""The append-only record of administrative acts, per account (the operator's own acts under NO_ID)."""

from vaultd.catalog.database import View
from vaultd.catalog.rows import number_key, put
from vaultd.records import AuditEntry, Change


def add_entry(view: View, account_id: bytes, entry: AuditEntry) -> list[Change]:
    newest = next(view.scan_back("audit", account_id), None)
    number = 1 if newest is None else int.from_bytes(newest[0][-8:], "big") + 1
    return [put("audit", account_id + number_key(number), entry)]
