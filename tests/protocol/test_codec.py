"""Messages are decoded strictly; the bytes of the tests are msgpack written by hand or by another library."""

import msgpack
import pytest

from protocol import messages as m
from protocol.codec import decode, encode
from protocol.errors import ErrorCode, RemoteProtocolError
from protocol.limits import ANSWER_HEADER_BYTES_MAX

FIND = {"job_id": b"j" * 16, "root_hash": b"r" * 32}
DEFINITION = {
    "include": [b"/etc"],
    "exclude": [],
    "one_file_system": False,
    "schedule": "",
    "retention": "",
    "suite": 1,
    "compression": 3,
    "both_sites": False,
    "options": b"\x80",
}


def refusal(data: bytes, type: type) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data, type)
    assert caught.value.code is ErrorCode.bad_request
    return caught.value.message


def test_a_message_is_a_map_with_the_names_of_its_fields():
    message = m.SafesetFindRequest(**FIND)
    assert msgpack.unpackb(encode(message)) == FIND
    assert decode(msgpack.packb(FIND), m.SafesetFindRequest) == message
    assert decode(memoryview(msgpack.packb(FIND)), m.SafesetFindRequest) == message


def test_an_unknown_field_is_named():
    assert refusal(msgpack.packb(FIND | {"extra": 1}), m.SafesetFindRequest) == (
        "the message SafesetFindRequest has an unknown field extra"
    )


def test_a_missing_field_is_named():
    assert "lacks the field root_hash" in refusal(msgpack.packb({"job_id": b"j" * 16}), m.SafesetFindRequest)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"job_id": "j" * 16}, "job_id: expected bytes, got str"),
        ({"job_id": 7}, "job_id: expected bytes, got int"),
        ({"job_id": b"j" * 15}, "job_id: at least 16 bytes are needed"),
        ({"job_id": b"j" * 17}, "job_id: at most 16 bytes are allowed"),
        ({"root_hash": None}, "root_hash: expected bytes"),
        ({"root_hash": msgpack.ExtType(1, b"r" * 32)}, "root_hash: expected bytes"),
    ],
)
def test_a_wrong_type_or_length_is_named(change: dict, words: str):
    assert refusal(msgpack.packb(FIND | change), m.SafesetFindRequest).startswith(words)


def test_an_empty_name_is_told_as_a_person_would_say_it():
    assert refusal(msgpack.packb({"name": ""}), m.AccountCreateRequest) == "name: at least 1 character is needed"


def test_a_field_inside_a_part_is_named_with_its_place():
    request = {
        "job_id": b"j" * 16,
        "computer": "c",
        "name": "n",
        "definition": DEFINITION | {"suite": 3},
        "secret": b"",
    }
    assert "definition.suite" in refusal(msgpack.packb(request), m.JobCreateRequest)
    request["definition"] = DEFINITION | {"shell": "rm"}
    assert "unknown field definition.shell" in refusal(msgpack.packb(request), m.JobCreateRequest)
    request["definition"] = DEFINITION | {"include": [b"/etc", "text"]}
    assert "definition.include[1]" in refusal(msgpack.packb(request), m.JobCreateRequest)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgpack.packb(FIND) + b"\0",
        msgpack.packb(FIND)[:-1],
        b"\x81\xa8versions\xdd\x7f\xff\xff\xff",  # an array that says 2^31 - 1 items
        b"\x81\xa8versions\xdd\xff\xff\xff\xff\x01",
        b"\xdf\x7f\xff\xff\xff\xa1a\x01",  # a map of 2^31 - 1 pairs
        b"\x81\xa6job_id\xc6\x7f\xff\xff\xffab",  # bytes that say 2^31 - 1
        b"\x81\xdb\x7f\xff\xff\xffab",  # a key that says 2^31 - 1
    ],
)
@pytest.mark.parametrize("type", [m.SafesetFindRequest, m.HelloRequest])
def test_what_is_not_one_whole_map_is_refused_without_believing_its_lengths(data: bytes, type: type):
    assert refusal(data, type).startswith((f"the message {type.__name__} ", "versions: ", "job_id: "))


def test_depth_is_refused_at_the_first_level_that_does_not_belong():
    assert "versions[0]" in refusal(b"\x81\xa8versions" + b"\x91" * 500_000, m.HelloRequest)


def test_other_shapes_are_refused():
    assert "object" in refusal(msgpack.packb([1, 2]), m.SafesetFindRequest)
    assert "object" in refusal(msgpack.packb(1), m.SafesetFindRequest)


def test_a_list_beyond_its_limit_is_refused():
    data = msgpack.packb({"versions": list(range(17)), "program": "", "program_version": ""})
    assert "versions" in refusal(data, m.HelloRequest)


def test_a_message_beyond_the_limit_is_refused_before_it_is_looked_at():
    assert str(ANSWER_HEADER_BYTES_MAX) in refusal(bytes(ANSWER_HEADER_BYTES_MAX + 1), m.HelloRequest)
