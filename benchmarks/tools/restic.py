"""restic over TLS to `rclone serve restic`, with a repository of version 2: the first that compresses."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

from benchmarks.certificate import make_certificate
from benchmarks.environment import of_peers
from benchmarks.measure import Command
from benchmarks.processes import terminate
from benchmarks.tools.tool import PASSWORD, Facts, Tool


class Restic(Tool):
    """One server and one repository; every agent has a cache of its own."""

    name = "restic"
    programs = ("restic", "rclone")
    has_network = True
    facts = Facts(
        "aes-256-ctr, poly1305-aes",
        "zstd, auto (repository version 2)",
        "rclone renames what it was sent into place and syncs nothing, a restore neither",
    )

    def open(self) -> None:
        self.store = self.directory / "stored"
        self.store.mkdir()
        key, certificate = make_certificate(self.directory)
        self.port = free_port()
        words = ["rclone", "serve", "restic", "--addr", f"127.0.0.1:{self.port}", str(self.store)]
        serve = Command([*words, "--cert", str(certificate), "--key", str(key)], self._environment(0))
        if self.syncs:
            serve = self.syncs.traced(serve, "vault")
        self._server = subprocess.Popen(
            serve.words, env=serve.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self.port, self._server)
        self.lead_to(self.port)
        self._ask("init", "--repository-version", "2")

    def close(self) -> None:
        terminate(self._server.pid)
        self._server.wait(60)

    def lead_to(self, port: int) -> None:
        self._url = f"rest:https://127.0.0.1:{port}/"

    def servers(self) -> list[int]:
        return [self._server.pid]

    def backup_command(self, source: Path, agent: int) -> Command:
        return self._command(agent, "backup", "--host", f"pc-{agent}", str(source))

    def restore_command(self, target: Path, back: int, path: Path | None) -> Command:
        made = json.loads(self._ask("snapshots", "--host", "pc-0", "--json"))
        only = ["--include", str(path)] if path else []
        return self._command(0, "restore", made[-1 - back]["id"], "--target", str(target), *only)

    def caches(self) -> list[Path]:
        return [self.directory / "cache-0"]

    def _ask(self, *words: str) -> str:
        command = self._command(0, *words)
        return subprocess.run(command.words, env=command.environment, check=True, capture_output=True, text=True).stdout

    def _command(self, agent: int, *words: str) -> Command:
        place = ["-r", self._url, "--cacert", str(self.directory / "certificate.pem")]
        return Command(["restic", *place, *words], self._environment(agent))

    def _environment(self, agent: int) -> dict[str, str]:
        caches = {"RESTIC_CACHE_DIR": str(self.directory / f"cache-{agent}"), "RCLONE_CONFIG": "/dev/null"}
        return {**of_peers(), "TMPDIR": str(self.temporary), "RESTIC_PASSWORD": PASSWORD, **caches}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Errors: RuntimeError when the server ends before it listens."""
    while True:
        with socket.socket() as line:
            if line.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            raise RuntimeError(f"rclone ended with {server.wait(0.02)}")
        except subprocess.TimeoutExpired:
            continue
