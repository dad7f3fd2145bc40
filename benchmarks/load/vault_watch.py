"""What is read of a vault under load: its metrics page, and how long it took for each commit."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from pathlib import Path

# The vault's metric looks back one minute.
READ_EVERY_SECONDS = 20
LAG = "vaultd_event_loop_lag_seconds_max"
CPU = "vaultd_event_loop_cpu_seconds_max"
PAGE_SECONDS_MAX = 30


class LagWatch:
    """Reads the vault's metrics page every 20 seconds and at the end. Needs `curl`.

    `lag_seconds_max` and `cpu_seconds_max` are None where the page was never read; `problem` says why.
    """

    def __init__(self, operator_context: Path) -> None:
        context = json.loads(operator_context.read_text(encoding="utf-8"))
        self._url, self._authority, self._token = context["url"], context["ca"], context["token"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.lag_seconds_max: float | None = None
        self.cpu_seconds_max: float | None = None
        self.problem = ""

    def __enter__(self) -> LagWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(READ_EVERY_SECONDS):
            self._read()
        self._read()

    def _read(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
            authority.write(self._authority)
            authority.flush()
            command = ["curl", "--silent", "--show-error", "--fail", "--http2", "--cacert", authority.name]
            command += ["--max-time", str(PAGE_SECONDS_MAX), "--config", "-", f"{self._url}/metrics"]
            secret = f'header = "Authorization: Bearer {self._token}"\n'
            try:
                page = subprocess.run(command, input=secret, capture_output=True, check=True, text=True).stdout
            except (OSError, subprocess.CalledProcessError) as error:
                self.problem = f"{error} {getattr(error, 'stderr', '')}".strip()
                return
        self.lag_seconds_max = max(self.lag_seconds_max or 0.0, metric(page, LAG))
        self.cpu_seconds_max = max(self.cpu_seconds_max or 0.0, metric(page, CPU))


def metric(page: str, name: str) -> float:
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))


def request_seconds(log: str, method: str) -> list[float]:
    """How long the vault took for each good request of this method, from its log: JSON lines, others are passed."""
    found = []
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and (entry.get("method"), entry.get("code")) == (method, "ok"):
            found.append(float(entry["seconds"]))
    return found
