"""An agent that carries out what is ordered through the vault, and a vault that hands out what a test wants."""

import os
import time
from typing import Any

from protocol import messages as m
from protocol.errors import ErrorCode, RemoteProtocolError
from tests.tools.agent.conftest import ACCOUNT_ID, COMPUTER_ID, JOB_ID, PASSWORD, Site
from tests.tools.client import second_implementation as second
from tools.agent.service.asked_restore import carry_out_asked
from tools.client.agent_key import AgentKey
from tools.client.output import Output

HOUR_NS, DAY_NS = 3600 * 10**9, 24 * 3600 * 10**9
ORDER_ID = b"o" * 16


class Ordered:
    """An agent with one safeset, and a vault that hands out what a test wants."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.key = AgentKey(site.state.key_path.read_bytes(), site.state.load_sealing_private())
        self.message = b""
        self.job_id = JOB_ID
        self.ended: list[m.RestoreEndRequest] = []
        self.told: list[m.RestoreProgressRequest] = []
        self.end_errors: list[Exception] = []
        for name in ("take", "progress", "end"):
            setattr(site.vault, f"_restore_{name}", getattr(self, f"_{name}"))

    def order(self, **changed: Any) -> bytes:
        """By the second implementation; keyword arguments replace what is said, sealed or signed."""
        now_ns = time.time_ns()
        facts: dict[str, Any] = {
            "account": ACCOUNT_ID, "computer": COMPUTER_ID, "job": JOB_ID, "message": ORDER_ID,
            "agent_key": self.key.fingerprint, "creator": self.site.creator, "public": self.key.sealing_public,
            "purpose": 3, "owner": None, "name": "job", "safeset": 0, "paths": [],
            "target": os.fsencode(self.site.target), "overwrite": "never", "created": now_ns,
            "expires": now_ns + DAY_NS, "password": PASSWORD,
        }  # fmt: skip
        assert changed.keys() <= facts.keys()
        facts |= changed
        names = ("owner", "name", "safeset", "paths", "target", "overwrite", "created", "expires", "password")
        plaintext = second.restore_order_plaintext(*(facts[name] for name in names))
        ids = (facts[name] for name in ("account", "computer", "job", "message", "agent_key"))
        return second.seal_job_secret(facts["public"], *ids, facts["creator"].seed, plaintext, facts["purpose"])

    def carry_out(self, message: bytes) -> int:
        self.message = message
        return carry_out_asked(Output(), self.site.state, ORDER_ID)

    @property
    def end(self) -> tuple[str, int, str]:
        """How the vault was told that it ended."""
        told = self.ended[-1]
        return told.outcome, told.exit_code, told.code

    @property
    def has_restored(self) -> bool:
        return self.site.target.exists()

    def _take(self, request: m.RestoreTakeRequest, raw: bytes) -> tuple[Any, bytes]:
        if not self.message:
            raise RemoteProtocolError(ErrorCode.not_found, "it does not exist")
        return m.RestoreTakeAnswer(self.job_id, self.message), b""

    def _progress(self, request: m.RestoreProgressRequest, raw: bytes) -> tuple[Any, bytes]:
        self.told.append(request)
        return m.RestoreProgressAnswer(), b""

    def _end(self, request: m.RestoreEndRequest, raw: bytes) -> tuple[Any, bytes]:
        if self.end_errors:
            raise self.end_errors.pop()
        self.ended.append(request)
        return m.RestoreEndAnswer(), b""
