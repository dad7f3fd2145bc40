"""docs/protocol.md against the code: every name, role, field, error, state and limit."""

import re
from pathlib import Path

import msgspec
import pytest

from protocol import limits
from protocol import messages as m
from protocol.errors import EXIT_CODES, HTTP_STATUS, ErrorCode
from protocol.methods import COMMON_ERRORS, FOLLOWS, METHODS, SIGN_IN_ERRORS, Method
from protocol.states import TRANSITIONS
from protocol.version import PROTOCOL_VERSIONS

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the first table after `heading`, without its head."""
    after = PAGE.split(f"\n{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", after + "\n", re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def code_words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def field_names(message: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(message)]


def is_nilable(message: type[msgspec.Struct], name: str) -> bool:
    fields = {field.name: field.type for field in msgspec.inspect.type_info(message).fields}
    kind = fields[name]
    return isinstance(kind, msgspec.inspect.UnionType) and kind.includes_none


def described(cell: str) -> dict[str, str]:
    """Field name to the words after it."""
    return dict(re.findall(r"`(\w+)` ([^`]*?)(?:, (?=`)|$)", cell))


METHOD_ROWS = {code_words(row[0])[0]: row for row in table("## Methods")}
PART_ROWS = {code_words(row[0])[0]: row for row in table("### Parts of messages")}


def test_every_method_has_one_row_in_the_order_of_the_registry():
    assert list(METHOD_ROWS) == list(METHODS)
    assert len(table("## Methods")) == len(METHODS)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_the_row_of_a_method_is_what_the_registry_says(method: Method):
    _, direction, role, body, answer, raw, at_most, errors, repeat = METHOD_ROWS[method.name]
    assert (direction, role) == (method.direction, method.role)
    assert code_words(body) == field_names(method.request)
    assert code_words(answer) == field_names(method.answer)
    assert raw == (method.raw or "-")
    assert at_most == f"{method.header_bytes_max:,} / {method.raw_bytes_max:,}"
    assert errors == (", ".join(code.value for code in method.errors) or "-")
    assert repeat == method.repeat


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_nil_is_said_where_it_is_allowed(method: Method):
    for cell, message in ((METHOD_ROWS[method.name][3], method.request), (METHOD_ROWS[method.name][4], method.answer)):
        for name, words in described(cell).items():
            assert ("nil" in words) is is_nilable(message, name), f"{message.__name__}.{name}"


def test_every_part_is_described():
    for name, (_, cell) in PART_ROWS.items():
        message = getattr(m, name)
        assert code_words(cell) == field_names(message), name
        for field, words in described(cell).items():
            assert ("nil" in words) is is_nilable(message, field), f"{name}.{field}"


def test_every_message_is_on_the_page():
    shown = set(PART_ROWS)
    for method in METHODS.values():
        shown |= {method.request.__name__, method.answer.__name__}
    assert shown == {name for name in m.__all__ if name != "VaultStatusAnswer"}


def test_the_errors_that_every_method_may_answer():
    sentence = re.search(r"Every method may answer the errors (.*?); all but .* also (.*?)\.", PAGE)
    assert code_words(sentence[1]) == [code.value for code in COMMON_ERRORS]
    assert code_words(sentence[2]) == [code.value for code in SIGN_IN_ERRORS]


def test_the_table_of_errors():
    rows = [(code_words(row[0])[0], int(row[1]), int(row[2])) for row in table("## Errors")]
    assert rows == [(code.value, EXIT_CODES[code], HTTP_STATUS[code]) for code in ErrorCode]


def test_the_table_of_versions():
    assert {int(version) for version, _ in table("### Versions")} == set(PROTOCOL_VERSIONS)


def test_the_table_of_requests_that_do_not_wait():
    rows = {(code_words(later) or [later])[0]: code_words(earlier)[0] for later, earlier, _ in
            table("### Requests that do not wait")}  # fmt: skip
    assert rows == {"any": "hello", **FOLLOWS}


def test_the_table_of_states():
    rows = {(row[0], row[1]): row[2] for row in table("### States of a connection")}
    assert rows == {(old.value, happened.value): new.value for (old, happened), new in TRANSITIONS.items()}


def test_the_table_of_limits():
    shown = {code_words(row[0])[0]: int(row[1].split()[0].replace(",", "")) for row in table("## Limits")}
    real = {
        name: value
        for name, value in vars(limits).items()
        if name.isupper() and name not in ("KIB", "MIB") and isinstance(value, int)
    }
    assert shown == real


def test_every_limit_says_its_unit_and_its_reason():
    path = Path(limits.__file__)
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Z0-9_]+ = ", line) and not re.match(r"(KIB|MIB) = ", line):
            assert re.search(r"  # \w+; \S", line), line
