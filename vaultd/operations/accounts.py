"""Creating accounts, and what the operator sees of them."""

import os
from dataclasses import dataclass, field

from vaultd.catalog.accounts import find_account, list_accounts, save_account
from vaultd.catalog.computers import has_its_name, list_computers
from vaultd.catalog.credentials import save_identity
from vaultd.catalog.database import View
from vaultd.catalog.jobs import list_jobs
from vaultd.errors import Conflict, NotFound
from vaultd.operations import ledger
from vaultd.operations.auditing import audited
from vaultd.operations.home_disk import emptiest_disk
from vaultd.operations.names import check_name
from vaultd.operations.summaries import AccountSummary, ComputerSummary, summarise_computer
from vaultd.operations.vault import Vault
from vaultd.records import Account, Identity, Role

TOKEN_BYTES = 32
PACKAGES_AT_BIRTH = 1
FIRST_ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class CreatedAccount:
    account_id: bytes
    name: str
    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountDetails:
    account: AccountSummary
    computers: list[ComputerSummary]


def create_account(vault: Vault, identity: Identity, name: str) -> CreatedAccount:
    """W. A new account with one package and its first administrator; the token is told once."""
    check_name(name, "name of the account")
    token = os.urandom(TOKEN_BYTES)
    account = Account(os.urandom(16), name, vault.clock.now_ns(), PACKAGES_AT_BIRTH, emptiest_disk(vault))
    administrator = Identity(os.urandom(16), account.account_id, Role.ADMINISTRATOR, FIRST_ADMINISTRATOR)
    with vault.catalog.read() as view:
        if find_account(view, name) is not None:
            raise Conflict(f"account {name!r} exists already", "choose another name")
        audit = audited(vault, view, identity, "account.create", name)
    ledger.record(vault, [*save_account(account), *save_identity(administrator, token), *audit])
    return CreatedAccount(account.account_id, name, token)


def list_all(vault: Vault) -> list[AccountSummary]:
    with vault.catalog.read() as view:
        return sorted((_summarise(view, account) for account in list_accounts(view)), key=lambda one: one.name)


def show(vault: Vault, name: str) -> AccountDetails:
    with vault.catalog.read() as view:
        account = find_account(view, name)
        if account is None:
            raise NotFound(f"account {name!r} does not exist", "`vaultctl account list` shows all")
        named = [one for one in list_computers(view, account.account_id) if has_its_name(view, one)]
        computers = [summarise_computer(view, computer) for computer in named]
        return AccountDetails(_summarise(view, account), sorted(computers, key=lambda one: one.name))


def _summarise(view: View, account: Account) -> AccountSummary:
    """Removed computers and jobs are not counted; what they stored is."""
    computers = sum(not computer.removed_ns for computer in list_computers(view, account.account_id))
    jobs = list(list_jobs(view, account.account_id))
    return AccountSummary(
        account_id=account.account_id,
        name=account.name,
        created_ns=account.created_ns,
        packages=account.packages,
        computers=computers,
        jobs=sum(not job.removed_ns for job in jobs),
        safesets=sum(job.safesets for job in jobs),
        protected_bytes=sum(job.protected_bytes for job in jobs),
    )
