"""The demo from an empty directory to a restored tree that was compared byte by byte."""

import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaultd.demo.copy_tree import NotCopied, check_source, copy_tree
from vaultd.demo.programs import command_of, run_json, serving
from vaultd.demo.screen import Results, render_commands, render_results
from vaultd.demo.tree import (
    TreeSize,
    change,
    default_source,
    differences,
    disk_bytes,
    measure,
    require_rsync,
)
from vaultd.errors import Conflict

ACCOUNT, COMPUTER, JOB = "demo", "this-machine", "files"
EXIT_IDENTICAL, EXIT_DIFFERENT = 0, 9


@dataclass(frozen=True, slots=True)
class DemoOptions:
    directory: Path | None
    source: Path | None
    once: bool


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demo keeps what, all below one directory."""

    root: Path

    @property
    def vault(self) -> Path:
        return self.root / "vault"

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def target(self) -> Path:
        return self.root / "restored"

    @property
    def restored(self) -> Path:
        """A restore goes to the target and the full path of the source below it."""
        return self.target / self.tree.relative_to("/")

    @property
    def administrator(self) -> Path:
        return self.root / "administrator.context"

    @property
    def agent(self) -> Path:
        return self.root / "agent"

    @property
    def password(self) -> Path:
        return self.root / "password"


def run_demo(options: DemoOptions, show: Callable[[str], None], note: Callable[[str], None]) -> Results:
    """Runs it; `show` gets the screen, `note` what is being done. Everything is stopped and removed at the end."""
    require_rsync()
    source = options.source or default_source()
    check_source(source)
    signal.signal(signal.SIGTERM, _stop_in_order)
    with _workplace(options.directory) as places:
        note(f"copying {source} to {places.tree}")
        not_copied = copy_tree(source, places.tree)
        created = run_json("vaultd", "init", places.vault, "--listen", "127.0.0.1:0", "--name", "demo")
        with serving(places.vault, places.root / "vaultd.log"):
            _prepare(places, created, note)
            results = _back_up_and_restore(places, not_copied, note)
            show(render_results(results))
            if not options.once:
                note(render_commands(_commands(places, created)))
                _wait_for_interrupt()
    return results


def _prepare(places: Places, created: dict[str, Any], note: Callable[[str], None]) -> None:
    note("creating account, computer and job")
    places.password.touch(mode=0o600)
    places.password.write_text(secrets.token_urlsafe(18) + "\n", encoding="ascii")
    run_json(
        "vaultctl",
        "--context",
        created["context"],
        "account",
        "create",
        ACCOUNT,
        "--admin-context",
        places.administrator,
    )
    code = run_json("vaultctl", "--context", places.administrator, "computer", "invite")["code"]
    run_json("vault-agent", "--state", places.agent, "register", created["url"], "--code", code, "--name", COMPUTER)
    run_json(
        "vaultctl", "--context", places.administrator, "job", "create", COMPUTER, JOB,
        "--include", places.tree, "--password-file", places.password, "--trust-agent-key",
    )  # fmt: skip


def _back_up_and_restore(places: Places, not_copied: NotCopied, note: Callable[[str], None]) -> Results:
    agent = ("vault-agent", "--state", places.agent)
    note("first backup")
    before = measure(places.tree)
    first = run_json(*agent, "backup", JOB, is_warning_fine=True)
    _tell_warnings(first, note)
    changed = change(places.tree)
    note("second backup")
    second = run_json(*agent, "backup", JOB, is_warning_fine=True)
    note("restore")
    words = ("restore", JOB, "--target", places.target, "--password-file", places.password)
    restore = run_json(*agent, *words, is_warning_fine=True)
    _tell_warnings(restore, note)
    begin = time.monotonic()
    different = differences(places.tree, places.restored)
    return Results(
        not_copied=not_copied,
        before=before,
        after=measure(places.tree),
        first=first,
        second=second,
        restore=restore,
        restored=measure(places.restored) if places.restored.is_dir() else TreeSize(0, 0),
        changed=changed,
        container_bytes=disk_bytes(places.vault / "disk-1" / "containers"),
        differences=different,
        compare_seconds=time.monotonic() - begin,
    )


def _tell_warnings(summary: dict[str, Any], note: Callable[[str], None]) -> None:
    if count := summary["warnings"]:
        note(f"{count:,} warnings: some paths are not stored or restored as they are")


def _commands(places: Places, created: dict[str, Any]) -> list[str]:
    vaultctl = f"{' '.join(command_of('vaultctl'))} --context {places.administrator}"
    agent = f"{' '.join(command_of('vault-agent'))} --state {places.agent}"
    return [
        f"{' '.join(command_of('vaultctl'))} --context {created['context']} status",
        f"{vaultctl} safeset list {COMPUTER} {JOB}",
        f"{agent} backup {JOB}",
        f"{agent} ls {JOB} --password-file {places.password}",
        f"{agent} restore {JOB} --safeset 1 --target {places.root / 'older'} --password-file {places.password}",
    ]


@contextmanager
def _workplace(directory: Path | None) -> Iterator[Places]:
    """A directory that was named is kept; a temporary one is removed."""
    if directory is not None:
        directory = directory.resolve()
        if directory.exists() and any(directory.iterdir()):
            raise Conflict(f"{directory} is not empty", "name a new directory with --dir")
        directory.mkdir(parents=True, exist_ok=True)
        yield Places(directory)
        return
    temporary = Path(tempfile.mkdtemp(prefix="safeset-demo-")).resolve()
    try:
        yield Places(temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except (KeyboardInterrupt, SystemExit):
        return


def _stop_in_order(_signal: int, _frame: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)
