"""Operations know nothing of the wire, so some limits stand on both sides: each pair is one number."""

import pytest

from protocol import limits
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


def test_the_smallest_receive_budget_holds_the_largest_frame() -> None:
    """One half is for frames that are larger than the least window, and one of them is always let in."""
    (setting,) = [setting for setting in SETTINGS if setting.name == "receive_budget_bytes"]
    uploads = [method.limits.frame_bytes for method in METHODS.values() if method.direction is Direction.upload]
    assert max(uploads) - limits.BULK_WINDOW_BYTES_MIN <= setting.smallest // 2
