"""Accounts: born with one package and one administrator, named once, and apart from one another."""

import pytest

from tests.vaultd.operations.small_site import Site
from vaultd.errors import BadRequest, Conflict, NotFound
from vaultd.operations import accounts
from vaultd.operations.sign_in import sign_in_token
from vaultd.records import Role


def test_an_account_has_one_package_an_administrator_and_a_home_disk(site: Site) -> None:
    created = accounts.create_account(site.vault, site.operator, "Acme")
    identity = sign_in_token(site.vault, created.token)
    assert identity is not None
    assert (identity.account_id, identity.role) == (created.account_id, Role.ADMINISTRATOR)
    (summary,) = accounts.list_all(site.vault)
    assert (summary.name, summary.packages, summary.computers, summary.protected_bytes) == ("Acme", 1, 0, 0)
    with site.vault.catalog.read() as view:
        row = accounts.find_account(view, "acme")
    assert row is not None
    assert row.home_disk in {disk.disk_id for disk in site.vault.store.disks.online}


def test_a_name_is_taken_whatever_its_case(site: Site) -> None:
    accounts.create_account(site.vault, site.operator, "Acme")
    with pytest.raises(Conflict, match="'ACME' exists already"):
        accounts.create_account(site.vault, site.operator, "ACME")


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a/b", "a\nb", "a\u202eb", "a\u200bb", "x" * 65, "a\x00", "\ud800", "a\u2028b"]
)
def test_a_name_that_would_mislead_is_refused(site: Site, name: str) -> None:
    with pytest.raises(BadRequest, match="name"):
        accounts.create_account(site.vault, site.operator, name)
    assert accounts.list_all(site.vault) == []


@pytest.mark.parametrize("name", ["a", "Müller & Söhne", "x" * 64, "日本"])
def test_other_names_are_fine(site: Site, name: str) -> None:
    accounts.create_account(site.vault, site.operator, name)
    assert accounts.show(site.vault, name).account.name == name


def test_an_unknown_account_is_not_found(site: Site) -> None:
    with pytest.raises(NotFound, match="account 'nobody' does not exist"):
        accounts.show(site.vault, "nobody")


def test_figures_follow_what_happens(site: Site) -> None:
    backed_up = site.ready()
    leaf = backed_up.sealer.leaf([])
    site.upload(backed_up, *leaf)
    payload = backed_up.sealer.payload(leaf)
    site.commit(backed_up, backed_up.sealer.root(leaf, payload, protected_bytes=777), payload)
    details = accounts.show(site.vault, "acme")
    assert (details.account.computers, details.account.jobs, details.account.safesets) == (1, 1, 1)
    assert details.account.protected_bytes == 777
    assert [computer.name for computer in details.computers] == ["laptop"]


def test_each_act_is_in_the_audit(site: Site) -> None:
    administrator = site.administrator()
    site.ready(administrator)
    with site.vault.catalog.read() as view:
        actions = [value for _, value in view.scan("audit", administrator.account_id)]
        operator = [value for _, value in view.scan("audit", bytes(16))]
    assert [b"computer.invite" in actions[0], b"register" in actions[1], b"job.create" in actions[2]] == [True] * 3
    assert [b"init" in operator[0], b"account.create" in operator[1]] == [True, True]
