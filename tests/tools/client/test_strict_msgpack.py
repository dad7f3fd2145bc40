"""What a sealed structure may look like."""

import pytest

from tools.client.record_format import IntegrityError
from tools.client.strict_msgpack import unpack_array


@pytest.mark.parametrize("packed", ["91 82 01 02 01 03", "91 82 a1 61 01 a1 61 01", "91 81 c4 01 61 82 01 02 01 02"])
def test_a_key_that_comes_twice_is_refused(packed: str) -> None:
    with pytest.raises(IntegrityError, match="a key of a map comes twice"):
        unpack_array(bytes.fromhex(packed), "block")


def test_keys_that_differ_are_taken() -> None:
    assert unpack_array(bytes.fromhex("91 83 01 02 02 02 c4 01 01 02"), "block") == [{1: 2, 2: 2, b"\x01": 2}]
