"""Bad input gets one sentence that names the field, and nothing is stored. Sent by curl: no code of ours makes it."""

from __future__ import annotations

import json
import secrets
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from blake3 import blake3

from tests.end_to_end.conftest import Site
from tests.support.trees import write_tree

pytestmark = pytest.mark.xdist_group("bad messages")  # one site for all of them

HELLO = {"versions": [1], "program": "test", "program_version": "1"}


def frame(header: bytes, raw: bytes = b"", *, header_length: int | None = None, raw_length: int | None = None) -> bytes:
    lengths = (len(header) if header_length is None else header_length, len(raw) if raw_length is None else raw_length)
    return struct.pack("<B3xII", 1, *lengths) + header + raw


def message(fields: Any, raw: bytes = b"") -> bytes:
    return frame(msgpack.packb(fields), raw)


class Curl:
    """An agent's certificate, a greeted connection, and one request on it."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site, self.directory = site, directory
        state = site.state("pc")
        identity = json.loads((state / "identity.json").read_text())
        (directory / "ca.pem").write_text(identity["authority_pem"])
        self.options = ["--http2", "--silent", "--show-error", "--cacert", str(directory / "ca.pem")]
        self.options += ["--cert", str(state / "agent.crt"), "--key", str(state / "agent.key"), "--max-time", "20"]

    def post(self, method: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """The status and the message of the first frame of the answer."""
        (self.directory / "hello").write_bytes(message(HELLO))
        (self.directory / "body").write_bytes(body)
        answer = self.directory / "answer"
        answer.unlink(missing_ok=True)
        words = ["curl", *self.options, "-o", "/dev/null", "--data-binary", f"@{self.directory / 'hello'}"]
        words += [f"{self.site.url}/v1/hello", "--next", *self.options, "-o", str(answer), "-w", "%{http_code}"]
        words += ["--data-binary", f"@{self.directory / 'body'}", f"{self.site.url}/v1/{method}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        data = answer.read_bytes()
        kind, header_length, raw_length = struct.unpack_from("<B3xII", data)
        return int(done.stdout[-3:]), {"kind": kind, **msgpack.unpackb(data[12 : 12 + header_length])}


@pytest.fixture(scope="module")
def curl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Curl]:
    directory = tmp_path_factory.mktemp("bad")
    site = Site(directory)
    site.start()
    site.create_account("acme")
    site.register("acme", "pc")
    site.create_job("acme", "pc", "all", write_tree(directory / "tree", small_files=3))
    site.backup("pc", "all")
    yield Curl(site, directory)
    site.kill()


@pytest.fixture
def run_id(curl: Curl) -> bytes:
    """An active run of the job."""
    (job,) = curl.post("agent.jobs", message({}))[1]["jobs"]
    run = secrets.token_bytes(16)
    _, answer = curl.post("run.begin", message({"job_id": job["job_id"], "run_id": run, "base": None}))
    assert answer["kind"] == 1
    return run


def test_good_requests_are_answered(curl: Curl, run_id: bytes) -> None:
    status, answer = curl.post("chunk.offer", message({"run_id": run_id}, bytes(64)))
    assert (status, answer) == (200, {"kind": 1, "missing": 2})


@pytest.mark.parametrize(
    ("method", "fields", "named"),
    [
        ("run.begin", {"job_id": bytes(16), "run_id": bytes(16), "base": None, "extra": 1}, "extra"),
        ("chunk.offer", {"run_id": bytes(16), "surprise": None}, "surprise"),
        ("run.progress", {"run_id": bytes(16), "files": 1, "bytes": 1, "bytes_total": 1, "path": "/home"}, "path"),
        ("run.progress", {"run_id": bytes(16), "files": 1, "bytes": -1, "bytes_total": None}, "bytes"),
        ("run.begin", {"job_id": "text", "run_id": bytes(16), "base": None}, "job_id"),
        ("run.begin", {"job_id": bytes(15), "run_id": bytes(16), "base": None}, "job_id"),
        ("run.begin", {"run_id": bytes(16), "base": None}, "job_id"),
        ("run.begin", {"job_id": bytes(16), "run_id": 7, "base": None}, "run_id"),
        ("safeset.find", {"job_id": bytes(16), "root_hash": bytes(31)}, "root_hash"),
        (
            "restore.open",
            {"computer": None, "job": "all", "slot_id": bytes(16), "proof": bytes(32), "sequence": -1},
            "sequence",
        ),
        ("restore.parameters", {"computer": None, "job": ""}, "job"),
    ],
)
def test_a_bad_field_is_named(curl: Curl, method: str, fields: dict[str, Any], named: str) -> None:
    status, answer = curl.post(method, message(fields))
    assert status == 400
    assert answer["kind"] == 2
    assert answer["code"] == "bad_request"
    assert named in answer["message"]
    assert "\n" not in answer["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (frame(b"", header_length=2**31), "header_length"),
        (frame(msgpack.packb({"run_id": bytes(16)}), raw_length=2**31), "raw_length"),
        (frame(b"\xc1"), "message"),
        (frame(msgpack.packb({}) + b"\x00"), ""),
        (frame(b"\x91" * 4_000), ""),
        (frame(b"\x91" * 500_000), "header_length 500000; the limit of chunk.offer is 4096 bytes"),
        (b"\x09\x00\x00\x00" + bytes(8), ""),
        (b"\x01\x00\x00", ""),
    ],
)
def test_a_bad_frame_is_refused(curl: Curl, body: bytes, named: str) -> None:
    status, answer = curl.post("chunk.offer", body)
    assert status in (400, 413)
    assert answer["code"] in ("bad_request", "too_large")
    assert named in answer["message"]
    assert len(answer["message"]) < 300
    assert "Traceback" not in answer["message"]


def record(keyring: bytes, key: bytes) -> bytes:
    head = struct.pack("<4sBBBB16s16s32sI", b"SSR1", 1, 1, 1, 0, keyring, key, secrets.token_bytes(32), 80)
    return head + blake3(head).digest()[:8] + secrets.token_bytes(80)


def stored(curl: Curl) -> int:
    """Records that the vault holds, as its operator sees it."""
    status = curl.site.run_operator("status")
    assert status.exit_code == 0, status.error
    count: int = status.last["records"]
    return count


def test_an_upload_whose_cid_is_wrong_stores_nothing(curl: Curl, run_id: bytes) -> None:
    (job,) = curl.post("agent.jobs", message({}))[1]["jobs"]
    before = stored(curl)
    sent = record(job["keyring_id"], bytes(16))
    fields = {"run_id": run_id, "number": 1, "lengths": [len(sent)], "cids": secrets.token_bytes(32)}
    status, answer = curl.post("chunk.upload", message(fields, sent))
    assert answer["kind"] == 2
    assert answer["code"] == "bad_request"
    assert "cid" in answer["message"]
    assert stored(curl) == before


def test_an_upload_under_an_unknown_run_key_stores_nothing(curl: Curl, run_id: bytes) -> None:
    (job,) = curl.post("agent.jobs", message({}))[1]["jobs"]
    before = stored(curl)
    sent = record(job["keyring_id"], secrets.token_bytes(16))
    fields = {"run_id": run_id, "number": 1, "lengths": [len(sent)], "cids": blake3(sent).digest()}
    _, answer = curl.post("chunk.upload", message(fields, sent))
    assert answer["code"] == "bad_request"
    assert "key" in answer["message"]
    assert stored(curl) == before


def test_lengths_that_do_not_add_up_store_nothing(curl: Curl, run_id: bytes) -> None:
    (job,) = curl.post("agent.jobs", message({}))[1]["jobs"]
    before = stored(curl)
    sent = record(job["keyring_id"], bytes(16))
    fields = {"run_id": run_id, "number": 1, "lengths": [len(sent) + 1], "cids": blake3(sent).digest()}
    _, answer = curl.post("chunk.upload", message(fields, sent))
    assert answer["code"] == "bad_request"
    assert "lengths" in answer["message"]
    assert stored(curl) == before


def test_an_unknown_method_is_named(curl: Curl) -> None:
    status, answer = curl.post("safeset.destroy", message({}))
    assert status == 404
    assert answer["code"] == "unknown_method"
    assert "safeset.destroy" in answer["message"]
