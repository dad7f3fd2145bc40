"""A real site in a temporary directory: daemon and programs as child processes, as a person would start them."""

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from tests.support.forked_daemon import ForkedDaemon
from tests.support.forked_programs import run_forked
from tests.support.trees import write_long_tree

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"vaultd": "vaultd", "vaultctl": "tools.vaultctl", "vault-agent": "tools.agent"}
READY_WORDS = "listening on "
# An agent behind these words looks at each new file for 5 ms more. The tracer is not its parent: signals reach it.
SLOWLY = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", os.devnull, "-e", "trace=flistxattr"]
SLOWLY += ["-e", "inject=flistxattr:delay_enter=5000"]
# The agent's program behind these words, and it hands on a few files at a time, also in the child process of the
# service: so it tells soon how far it is, and has most of its work still before it then.
_SMALL_STEPS = "from tools.agent.scan import batch; from tools.client import chunker; "
_SMALL_STEPS += "batch.BATCH_ROWS, chunker.BUNDLE_MAX_BYTES = 50, 10_000"
SLOW_PROGRAM = f"""
import sys
from tools.agent.service import worker
{_SMALL_STEPS}
worker._PROGRAM = worker._PROGRAM.replace("; main()", "; {_SMALL_STEPS}; main()")
from tools.agent.__main__ import main
sys.exit(main())
"""
SLOW_AGENT = [*SLOWLY, sys.executable, "-c", SLOW_PROGRAM]
READY_SECONDS = 60.0
STOP_SECONDS = 60
PROGRAM_SECONDS = 240


_SHOWN_CHARACTERS = 2000


class NotReadyError(Exception):
    """A daemon that ended, or did not say in time that it listens; with the end of what it wrote."""


@dataclass(frozen=True)
class Done:
    """How a program ended; `lines` are its standard output as JSON, one document or JSON Lines."""

    exit_code: int
    lines: list[Any]
    error: str

    @property
    def last(self) -> Any:
        return self.lines[-1]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAULTD_", "VAULTCTL_"))}
    return kept | {"PYTHONPATH": str(ROOT)}


# The agent's program, but it does not wait for a vault that it lost in the middle of a run.
IMPATIENT = """
import sys
from tools.agent.vault import lost_connection
lost_connection.Patience.__init__.__defaults__ = ((),)
from tools.agent.__main__ import main
sys.exit(main())
"""


def run_program(program: str, *words: object, stdin: str = "", timeout_seconds: float = PROGRAM_SECONDS) -> Done:
    """Runs a program of this checkout with --json."""
    return _done(run_forked(MODULES[program], [*map(str, words), "--json"], environment(), stdin, timeout_seconds))


def run_python(*words: object) -> Done:
    done = subprocess.run(
        [sys.executable, *map(str, words), "--json"],
        cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PROGRAM_SECONDS, check=False,
    )  # fmt: skip
    return _done(done)


def _done(done: subprocess.CompletedProcess[str]) -> Done:
    return Done(done.returncode, _documents(done.stdout), done.stderr)


def _documents(text: str) -> list[Any]:
    try:
        return [json.loads(text)] if text.strip() else []
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


class Site:
    """One vault directory with its daemon, up or down, and one account."""

    ready_seconds = READY_SECONDS
    starts_anew = False  # with `python -m`, where it matters that nothing was imported before

    def __init__(
        self, directory: Path, disks: int = 1, vault: Path | None = None, disk_paths: Sequence[Path] = ()
    ) -> None:
        """`vault` and `disk_paths` where they are not to lie in `directory`."""
        self.directory = directory
        self.vault = vault or directory / "vault"
        self.disks = list(disk_paths) or [self.vault / f"disk-{number + 1}" for number in range(disks)]
        self.daemon: subprocess.Popen[str] | ForkedDaemon | None = None
        self.settings: dict[str, str] = {}
        more = [word for disk in self.disks for word in ("--disk", disk)] if disks > 1 or disk_paths else []
        created = self._must("vaultd", "init", self.vault, "--name", "test", "--listen", "127.0.0.1:0", *more).last
        self.url: str = created["url"]
        self.authority = Path(created["ca"])
        self.operator = Path(created["context"])

    # The daemon

    def start(self) -> None:
        """Returns when it is ready. Settings of `settings` go in as VAULTD_ variables."""
        assert self.daemon is None
        with self.log_file.open("a") as log:
            begin = self.log_file.stat().st_size
            self.daemon = self._started(["serve", str(self.vault)], environment() | self.settings, log)
        assert self.daemon.stdout is not None
        # Its one line comes in one write, so nothing is read in part.
        is_there = bool(select.select([self.daemon.stdout], [], [], self.ready_seconds)[0])
        line = self.daemon.stdout.readline() if is_there else ""
        if line != f"{READY_WORDS}{self.url}\n":
            what = "ended or said something else" if is_there else f"said nothing for {self.ready_seconds:g} s"
            expected = f"{READY_WORDS}{self.url}"
            raise NotReadyError(f"the vault {what} instead of {expected!r}: {line}{self._log_from(begin)}")

    def _started(
        self, words: list[str], variables: dict[str, str], log: IO[str]
    ) -> "subprocess.Popen[str] | ForkedDaemon":
        if not self.starts_anew:
            return ForkedDaemon(MODULES["vaultd"], words, variables, log.fileno())
        return subprocess.Popen(
            [sys.executable, "-m", MODULES["vaultd"], *words],
            cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip

    def _log_from(self, begin: int) -> str:
        return self.log_file.read_bytes()[begin:].decode(errors="replace")[-_SHOWN_CHARACTERS:]

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """As a power cut would, but the disk keeps what it got."""
        return self._end(signal.SIGKILL)

    def wait(self) -> int:
        """Until it ended by itself; the exit code."""
        assert self.daemon is not None
        exit_code = self.daemon.wait(STOP_SECONDS)
        assert self.daemon.stdout is not None
        self.daemon.stdout.close()
        self.daemon = None
        return exit_code

    @property
    def log_file(self) -> Path:
        return self.directory / "vaultd.log"

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]

    def check(self, *, read_data: bool = True) -> Done:
        return run_program("vaultd", "check", self.vault, *(["--read-data"] if read_data else []))

    # The programs

    def run_operator(self, *words: object) -> Done:
        return run_program("vaultctl", "--context", self.operator, *words)

    def run_administrator(self, account: str, *words: object) -> Done:
        return run_program("vaultctl", "--context", self.context(account), *words)

    def run_agent(self, computer: str, *words: object) -> Done:
        return run_program("vault-agent", "--state", self.state(computer), *words)

    def run_impatient_agent(self, computer: str, *words: object) -> Done:
        return run_python("-c", IMPATIENT, "--state", self.state(computer), *words)

    # Steps that must succeed

    def create_account(self, account: str) -> Path:
        self._ok(self.run_operator("account", "create", account, "--admin-context", self.context(account)))
        return self.context(account)

    def register(self, account: str, computer: str, *words: object) -> None:
        code = self._ok(self.run_administrator(account, "computer", "invite")).last["code"]
        self._ok(self.run_agent(computer, "register", self.url, "--code", code, "--name", computer, *words))

    def create_job(self, account: str, computer: str, job: str, include: Path, *words: object) -> str:
        """Returns the recovery code."""
        created = self._ok(
            self.run_administrator(
                account, "job", "create", computer, job, "--include", include,
                "--password-file", self.password(job), "--trust-agent-key", *words,
            )
        )  # fmt: skip
        code: str = created.last["recovery_code"]
        return code

    def grant(self, account: str, computer: str, job: str, to: str) -> None:
        self._ok(self.run_administrator(account, "safeset", "grant", computer, job, "--to", to))

    def backup(self, computer: str, job: str, *words: object) -> dict[str, Any]:
        """The summary."""
        summary: dict[str, Any] = self._ok(self.run_agent(computer, "backup", job, *words)).last
        return summary

    def restore(self, computer: str, job: str, target: Path, *words: object) -> dict[str, Any]:
        """With the job's password; the summary."""
        done = self.run_agent(
            computer, "restore", job, "--target", target, "--password-file", self.password(job), *words
        )
        summary: dict[str, Any] = self._ok(done).last
        return summary

    def context(self, account: str) -> Path:
        return self.directory / f"{account}.context"

    def state(self, computer: str) -> Path:
        return self.directory / f"{computer}.state"

    def password(self, job: str) -> Path:
        """A file with a password of its own for each job."""
        path = self.directory / f"{job}.password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(18) + "\n", encoding="ascii")
        return path

    def _end(self, number: signal.Signals) -> int:
        assert self.daemon is not None
        self.daemon.send_signal(number)
        return self.wait()

    def _must(self, program: str, *words: object) -> Done:
        return self._ok(run_program(program, *words))

    @staticmethod
    def _ok(done: Done) -> Done:
        assert done.exit_code == 0, done.error
        return done


def restored(target: Path, source: Path) -> Path:
    """Where a restore puts a source: the target and its full path."""
    return target / source.relative_to("/")


def differences(source: Path, copy: Path) -> list[str]:
    """What rsync would change in `copy`: every byte and attribute is compared."""
    done = subprocess.run(
        ["rsync", "-aHAXSnc", "--delete", "--itemize-changes", f"{source}/", f"{copy}/"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if line.strip()]


@pytest.fixture
def starts_anew() -> bool:
    """Files of tests that need the daemon as people start it have their own."""
    return False


@pytest.fixture
def stopped_site(tmp_path: Path, *, starts_anew: bool) -> Iterator[Site]:
    """A vault that was made and not started."""
    site = Site(tmp_path)
    site.starts_anew = starts_anew
    yield site
    if site.daemon is not None:
        site.kill()


@pytest.fixture
def site(stopped_site: Site) -> Site:
    """A vault that is up."""
    stopped_site.start()
    return stopped_site


@pytest.fixture(scope="session")
def long_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """For runs that are still at work when something happens to them."""
    root = write_long_tree(tmp_path_factory.mktemp("long") / "tree")
    yield root
    shutil.rmtree(root)
