"""The registry itself: names, and who may call what."""

import msgspec
import pytest

from protocol import messages as m
from protocol.methods import METHODS, Direction, Method, Role, request_limits

IDENTITIES = (Role.open, Role.operator, Role.administrator, Role.agent)


@pytest.mark.parametrize(
    ("role", "callers"),
    [
        (Role.open, set(IDENTITIES)),
        (Role.operator, {Role.operator}),
        (Role.administrator, {Role.administrator}),
        (Role.agent, {Role.agent}),
        (Role.account, {Role.administrator, Role.agent}),
    ],
)
def test_who_may_call(role: Role, callers: set[Role]):
    assert {caller for caller in Role if role.allows(caller)} == callers


def test_messages_are_named_after_their_method():
    named_otherwise = {"chunk.upload": (m.UploadBatch, m.UploadDurable), "chunk.fetch": (None, m.FetchBatch)}
    for name, method in METHODS.items():
        stem = "".join(word.capitalize() for word in name.replace("_", ".").split("."))
        request, answer = named_otherwise.get(name, (None, None))
        assert method.request is (request or getattr(m, f"{stem}Request"))
        assert method.answer is (answer or getattr(m, f"{stem}Answer"))


def test_only_chunks_come_out_of_the_byte_budget():
    bulk = {name: method.direction for name, method in METHODS.items() if method.direction is not Direction.ask}
    assert bulk == {"chunk.upload": Direction.upload, "chunk.fetch": Direction.download}


def test_what_is_open_to_everybody():
    assert [name for name, method in METHODS.items() if method.role is Role.open] == ["hello", "authority", "register"]


def longest(kind: msgspec.inspect.Type) -> int:
    """The most bytes that a value of this type can have in msgpack."""
    match kind:
        case msgspec.inspect.StructType():
            return 3 + sum(1 + len(field.encode_name) + longest(field.type) for field in kind.fields)
        case msgspec.inspect.ListType():
            return 5 + kind.max_length * longest(kind.item_type)
        case msgspec.inspect.DictType():
            return 5 + kind.max_length * (longest(kind.key_type) + longest(kind.value_type))
        case msgspec.inspect.UnionType():
            return max(longest(one) for one in kind.types)
        case msgspec.inspect.StrType():
            return 5 + 4 * kind.max_length
        case msgspec.inspect.BytesType():
            return 5 + kind.max_length
        case msgspec.inspect.LiteralType():
            return 5 + max(len(value) for value in kind.values)
    return 9  # numbers, truth and nil


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_the_header_limit_takes_every_message_and_no_multiple_of_it(method: Method):
    size = longest(msgspec.inspect.type_info(method.request))
    if method.name == "job.create":  # a thousand paths and patterns of full length would be 8 MiB
        assert size > method.header_bytes_max == 1024 * 1024
        return
    assert size <= method.header_bytes_max
    assert method.header_bytes_max <= max(4096, 2 * size)


def test_raw_bytes_are_taken_only_where_the_registry_speaks_of_them():
    taken = {name: method.raw_bytes_max for name, method in METHODS.items() if method.raw_bytes_max}
    assert taken == {
        "chunk.offer": 2 * 1024 * 1024,
        "chunk.upload": 16 * 1024 * 1024,
        "chunk.fetch": 128 * 1024,
        "safeset.commit": 360 + 300 * 1024,
    }
    assert {name for name, method in METHODS.items() if method.raw and not method.raw.startswith("→")} == set(taken)


@pytest.mark.parametrize(
    ("name", "signed_in", "expected"),
    [
        ("chunk.offer", True, (4096, 2 * 1024 * 1024)),
        ("chunk.offer", False, (4096, 0)),
        ("hello", False, (16384, 0)),
        ("hello", True, (16384, 0)),
        ("chunk.paint", True, (4096, 0)),
        ("", True, (4096, 0)),
    ],
)
def test_a_request_has_the_limits_of_its_method(name: str, signed_in: bool, expected: tuple[int, int]):
    found = request_limits(name, signed_in=signed_in)
    assert (found.header_bytes, found.raw_bytes) == expected
