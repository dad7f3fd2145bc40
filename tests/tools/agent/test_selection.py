"""Patterns that begin with a sign, and definitions that no safeset could hold."""

from pathlib import Path

import pytest

from tests.tools.agent.conftest import Site
from tools.agent.selection import make_selection
from tools.client.failure import Failure


@pytest.mark.parametrize(("pattern", "is_excluded"), [("\\#recycle", True), ("#recycle", False)])
def test_a_name_that_begins_with_a_number_sign_is_excluded(pattern: str, is_excluded: bool) -> None:
    matcher = make_selection([b"/srv"], [pattern], False, None).matcher_below(b"srv")
    assert matcher is not None
    assert matcher(b"srv/#recycle", True) == is_excluded
    assert not matcher(b"srv/recycle", True)


@pytest.mark.parametrize("pattern", ["!", "[z-a]"])
def test_a_pattern_that_is_none_is_told(pattern: str) -> None:
    with pytest.raises(Failure, match="an exclude pattern of the job is not valid"):
        make_selection([b"/srv"], [pattern], False, None)


# The examples of docs/operations.md.
@pytest.mark.parametrize(
    ("pattern", "taken", "excluded"),
    [
        ("*.tmp", "home/a/x.tmpl", "home/a/x.tmp"),
        ("node_modules/", "home/a/node_modules.txt", "home/a/node_modules/x"),
        ("/home/*/tmp", "home/a/b/tmp", "home/a/tmp"),
        ("**/src/*.tmp", "home/a/src/b/x.tmp", "home/a/src/x.tmp"),
        ("src/*.tmp", "home/src/x.tmp", "src/x.tmp"),
    ],
)
def test_patterns_mean_what_the_page_says(pattern: str, taken: str, excluded: str) -> None:
    matcher = make_selection([b"/"], [pattern], False, None).matcher_below(b"")
    assert matcher is not None
    assert (matcher(taken.encode(), False), matcher(excluded.encode(), False)) == (False, True)


def test_a_later_pattern_takes_back_in() -> None:
    matcher = make_selection([b"/"], ["*.log", "!keep.log"], False, None).matcher_below(b"")
    assert matcher is not None
    assert (matcher(b"a/x.log", False), matcher(b"a/keep.log", False)) == (True, False)


def test_a_definition_may_have_so_many_bytes_and_no_more() -> None:
    patterns = ["é" * 1_024] * 95 + ["x" * 2_043]
    make_selection([b"/data"], patterns, False, None)
    with pytest.raises(Failure, match="196609 bytes together, more than 196608"):
        make_selection([b"/data"], [*patterns, "y"], False, None)


async def test_the_largest_definition_makes_a_safeset(site: Site) -> None:
    (site.source / "file").write_bytes(b"1")
    include = bytes(site.source)
    left = 196_608 - len(include)
    site.define(exclude=["x" * 193] * (left // 193 - 1) + ["y" * (193 + left % 193)])
    assert (await site.back_up()).safeset == 1


async def test_a_larger_definition_fails_before_anything_is_read(site: Site, tmp_path: Path) -> None:
    (site.source / "file").write_bytes(b"1")
    site.define(exclude=["x" * 1_000] * 197)
    with pytest.raises(Failure, match="includes and excludes") as caught:
        await site.back_up()
    assert "make two jobs" in caught.value.hint
    assert (site.vault.offered, site.vault.uploads, site.vault.ended[-1].outcome) == ([], 0, "failed")
