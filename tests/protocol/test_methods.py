"""The registry itself: names, and who may call what."""

import pytest

from protocol import messages as m
from protocol.methods import METHODS, Direction, Role

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
