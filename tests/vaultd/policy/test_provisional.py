"""Which provisional safesets are replaced, and which safeset is the newest."""

import pytest

from vaultd.policy.provisional import is_replaced, newest_sequence
from vaultd.records import Job, JobDefinition


@pytest.mark.parametrize(
    ("sequence", "complete", "newest_of_run", "replaced"),
    [
        (1, 0, 1, False),  # the only one
        (1, 0, 2, True),  # by the next of its run
        (1, 0, 7, True),
        (3, 2, 3, False),  # an older complete one replaces nothing
        (3, 4, 3, True),  # by a complete one of a later run
        (3, 4, 4, True),  # by the complete one of its own run
        (3, 9, 3, True),
    ],
)
def test_the_next_of_the_run_and_the_next_complete_one_replace(
    sequence: int, complete: int, newest_of_run: int, *, replaced: bool
) -> None:
    assert is_replaced(sequence, complete, newest_of_run) is replaced


@pytest.mark.parametrize(("head", "complete", "newest"), [(0, 0, 0), (2, 0, 2), (5, 3, 3), (5, 5, 5)])
def test_a_provisional_one_is_the_newest_only_while_there_is_no_complete_one(
    head: int, complete: int, newest: int
) -> None:
    definition = JobDefinition((b"/",), (), False, "", "", 1, 3, False, b"\x80")
    job = Job(b"j", b"a", b"c", "home", definition, 1, b"k", b"s", 1, head_sequence=head, complete_sequence=complete)
    assert newest_sequence(job) == newest
