"""restic over TLS to `rclone serve restic`, as a peer measured in turn with ours.

Programs are looked up on PATH (`restic`, `rclone`); without them the peer's rows are missing and the table shows it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.measure import MemoryWatch, measure
from benchmarks.site import cpu_seconds


def is_here() -> bool:
    return shutil.which("restic") is not None and shutil.which("rclone") is not None


def versions() -> dict[str, str]:
    if not is_here():
        return {}
    return {name: _version(name) for name in ("restic", "rclone")}


def _version(name: str) -> str:
    done = subprocess.run([name, "version"], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[0].split()[1]


class Restic:
    """A server with a certificate of its own and one fresh place to back up to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            "RESTIC_PASSWORD": "correct horse battery staple",
            "RESTIC_CACHE_DIR": str(directory / "cache"),
        }

    def __enter__(self) -> Restic:
        self.directory.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-keyout", str(self.directory / "key.pem"), "-out", str(self.directory / "certificate.pem")]
            + ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True,
            capture_output=True,
        )
        self.server = subprocess.Popen(
            ["rclone", "serve", "restic", "--addr", f"127.0.0.1:{self.port}", str(self.directory / "stored")]
            + ["--cert", str(self.directory / "certificate.pem"), "--key", str(self.directory / "key.pem")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RCLONE_CONFIG": "/dev/null"},
        )
        while socket.socket().connect_ex(("127.0.0.1", self.port)) != 0:
            if self.server.poll() is not None:
                raise RuntimeError("rclone ended")
        self._run("init")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.terminate()
        self.server.wait(30)

    def stored_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.directory / "stored").rglob("*") if path.is_file())

    def backup(self, case: str, number: int, source: Path) -> dict[str, Any]:
        before = cpu_seconds(self.server.pid)
        with MemoryWatch(self.server.pid) as server_memory:
            done = self._run("backup", str(source))
        return {
            "case": case,
            "round": number,
            "wall_seconds": round(done.wall_seconds, 3),
            "agent_cpu_seconds": round(done.cpu_seconds, 2),
            "vault_cpu_seconds": round(cpu_seconds(self.server.pid) - before, 2),
            "agent_peak_anonymous_bytes": done.peak_anonymous_bytes,
            "vault_peak_anonymous_bytes": server_memory.peak_anonymous_bytes,
            "stored_bytes": self.stored_bytes(),
        }

    def _run(self, *words: str) -> Any:
        place = ["-r", f"rest:https://127.0.0.1:{self.port}/", "--cacert", str(self.directory / "certificate.pem")]
        done = measure(["restic", *place, *words], self.environment)
        if done.exit_code != 0:
            raise RuntimeError(f"restic {words[0]} ended with {done.exit_code}: {done.stderr[-500:]}")
        return done
