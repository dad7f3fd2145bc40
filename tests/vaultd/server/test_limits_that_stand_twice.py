"""Operations know nothing of the wire, so some limits stand on both sides: each pair is one number."""

import msgspec
import pytest

from protocol import limits
from protocol import messages as m
from protocol.methods import METHODS, Direction
from tools.client import record_format as client_record_format
from vaultd.config import SETTINGS
from vaultd.operations import (
    fetch,
    job_definition,
    keyrings,
    names,
    offer,
    root_format,
    runs,
    safesets,
    sealed_headers,
)
from vaultd.store import record_format

LARGEST_RUN_KEY = sealed_headers._RUN_KEY.size + max(sealed_headers.SEALED_RUN_KEY_BYTES.values())

PAIRS = {
    "NAME_CHARACTERS_MAX": names.CHARACTERS_MAX,
    "TEXT_CHARACTERS_MAX": job_definition.PATTERN_CHARACTERS_MAX,
    "PATH_BYTES_MAX": job_definition.PATH_BYTES_MAX,
    "OPTIONS_BYTES_MAX": job_definition.OPTIONS_BYTES_MAX,
    "COMPUTER_JOBS_MAX": job_definition.COMPUTER_JOBS_MAX,
    "COMPUTER_DEFINITIONS_BYTES_MAX": job_definition.COMPUTER_DEFINITIONS_BYTES_MAX,
    "PATTERNS_MAX": job_definition.PATTERNS_MAX,
    "SLOT_BYTES_MAX": sealed_headers.SLOT_BYTES_MAX,
    "SLOTS_MAX": keyrings.SLOTS_MAX,
    "SECRET_BYTES_MAX": sealed_headers.SECRET_BYTES_MAX,
    "SEALED_KEY_BYTES_MAX": LARGEST_RUN_KEY,
    "PAYLOAD_BYTES_MAX": safesets.PAYLOAD_BYTES_MAX,
    "CODES_MAX": runs.CODES_MAX,
    "OFFER_IDS_MAX": offer.IDS_MAX,
    "FETCH_IDS_MAX": fetch.FETCH_IDS_MAX,
    "RECORD_BYTES_MAX": record_format.RECORD_BYTES_MAX,
    "ID_BYTES": offer.ID_BYTES,
    "ROOT_BYTES": root_format.ROOT_BYTES,
}


@pytest.mark.parametrize(("name", "value"), PAIRS.items(), ids=PAIRS.keys())
def test_both_sides_have_the_same_number(name: str, value: int) -> None:
    assert getattr(limits, name) == value


def test_the_others_that_must_agree() -> None:
    assert client_record_format.RECORD_BYTES_MAX == limits.RECORD_BYTES_MAX
    assert runs.CODE_CHARACTERS_MAX == limits.NAME_CHARACTERS_MAX


def test_the_jobs_of_a_computer_fit_into_one_answer() -> None:
    """As many as one may have, with as large definitions and secrets as there may be."""
    largest_count = 2**63 - 1
    name, size = "\U0001f4be" * limits.NAME_CHARACTERS_MAX, limits.COMPUTER_DEFINITIONS_BYTES_MAX
    definition = m.JobDefinition(
        [b"/" * (size // limits.COMPUTER_JOBS_MAX)], [], True, "0 " * 50, name, 2, 9, True, b"\x80"
    )
    job = m.AgentJob(
        b"j" * 16, name, definition, 2**32 - 1, bytes(32), bytes(64), bytes(limits.SECRET_BYTES_MAX), bytes(16),
        largest_count, bytes(32), largest_count, True, "unavailable",
    )  # fmt: skip
    shown = m.JobSummary(
        b"j" * 16, name, name, definition, largest_count, True, largest_count, largest_count, "warnings", True,
        largest_count,
    )  # fmt: skip
    count = limits.COMPUTER_JOBS_MAX
    for message in (m.AgentJobsAnswer([job] * count), m.JobListAnswer([shown] * count)):
        assert len(msgspec.msgpack.encode(message)) <= limits.ANSWER_HEADER_BYTES_MAX - 64 * limits.KIB


def test_the_smallest_receive_budget_holds_the_largest_frame() -> None:
    """One half is for frames that are larger than the least window, and one of them is always let in."""
    (setting,) = [setting for setting in SETTINGS if setting.name == "receive_budget_bytes"]
    uploads = [method.limits.frame_bytes for method in METHODS.values() if method.direction is Direction.upload]
    assert max(uploads) - limits.BULK_WINDOW_BYTES_MIN <= setting.smallest // 2
