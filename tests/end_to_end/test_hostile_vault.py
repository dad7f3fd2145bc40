"""The operator changes his catalog, or makes a job with a copy of the customer's context: the agent does not run it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.end_to_end.conftest import Done, Site
from tests.support.creator import Creator
from tests.support.trees import write_tree
from vaultd.catalog.jobs import list_jobs, update_job
from vaultd.clock import SystemClock
from vaultd.config import load_config
from vaultd.operations import ledger
from vaultd.operations.vault import close_vault, open_vault
from vaultd.records import Job
from vaultd.store.disk_door import SystemDoor

HARMLESS = {"hello", "agent.jobs"}


def change_job(site: Site, change: Callable[[Job], Job]) -> None:
    """What an operator can do with the files of his vault: the row in catalog and journal is another one."""
    site.stop()
    vault = open_vault(load_config(site.vault), SystemClock(), SystemDoor())
    with vault.catalog.read() as view:
        account_id = next(key[:16] for key, _ in view.scan("jobs"))
        (job,) = list_jobs(view, account_id)
    ledger.record(vault, update_job(change(job)))
    close_vault(vault)
    site.start()


def other_paths(secret_directory: Path) -> Callable[[Job], Job]:
    def change(job: Job) -> Job:
        definition = msgspec.structs.replace(job.definition, include=(bytes(secret_directory),))
        return msgspec.structs.replace(job, definition=definition)

    return change


def signed_by_the_operator(secret_directory: Path) -> Callable[[Job], Job]:
    def change(job: Job) -> Job:
        operator, forged = Creator(), other_paths(secret_directory)(job)
        ids = (job.account_id, job.computer_id, job.job_id)
        signature = operator.sign_definition(ids, job.revision, job.name, forged.definition)
        return msgspec.structs.replace(forged, creator_key=operator.public_key, signature=signature)

    return change


def methods_since(site: Site, lines_before: int) -> set[str]:
    return {line["method"] for line in site.log_lines()[lines_before:] if "method" in line}


def backup(site: Site, job: str) -> tuple[Done, set[str]]:
    before = len(site.log_lines())
    done = site.run_agent("pc", "backup", job)
    return done, methods_since(site, before)


@pytest.fixture
def secret_directory(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "secret", small_files=3)


@pytest.mark.parametrize("has_run", [False, True], ids=["before the first run", "after a run"])
@pytest.mark.parametrize(("forge", "exit_code"), [(other_paths, 9), (signed_by_the_operator, 5)])
def test_a_changed_definition_is_not_run(
    site: Site, tmp_path: Path, secret_directory: Path, has_run: bool, forge: Any, exit_code: int
) -> None:
    tree = write_tree(tmp_path / "tree", small_files=3)
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", tree)
    if has_run:
        site.backup("pc", "all")
    change_job(site, forge(secret_directory))
    done, methods = backup(site, "all")
    assert (done.exit_code, done.last["type"]) == (exit_code, "error")
    assert "nothing was read or sent" in done.last["hint"]
    assert methods == HARMLESS
    assert len(site.run_administrator("acme", "safeset", "list", "pc", "all").last) == has_run
    if has_run:
        assert site.restore("pc", "all", tmp_path / "back")["warnings"] == 0


def test_a_job_of_the_operators_own_making_is_not_run(site: Site, tmp_path: Path, secret_directory: Path) -> None:
    """He keeps a copy of the context that he wrote: its token may create jobs, but the key of the code is not his."""
    shutil.copy2(site.create_account("acme"), site.context("operators-copy"))
    site.register("acme", "pc")
    site.register("operators-copy", "his-own-pc")
    site.create_job("operators-copy", "pc", "all", secret_directory)
    done, methods = backup(site, "all")
    assert (done.exit_code, done.last["code"]) == (5, "not_allowed")
    assert "nothing was read or sent" in done.last["hint"]
    assert methods == HARMLESS
    assert not list(site.state("pc").rglob("unattended"))
    site.create_job("acme", "pc", "mine", write_tree(tmp_path / "tree", small_files=3))
    assert site.backup("pc", "mine")["safeset"] == 1
