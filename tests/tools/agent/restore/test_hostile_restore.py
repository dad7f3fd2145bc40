"""Restores from a vault that lies and of manifests by a hostile holder of the keyring: loud, and nothing outside."""

import os
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.agent.conftest import Site
from tests.tools.agent.planted import Planter, entry
from tools.agent.restore.restore import Restored
from tools.agent.safeset.entries import UNKNOWN_EXTRAS, UNKNOWN_KIND
from tools.client.failure import Failure
from tools.client.root import Root

CONTENT = b"planted content"
DIRECTORY: dict[str, Any] = {"kind": 2, "mode": 0o755}


@pytest.fixture
async def planter(site: Site) -> Planter:
    (site.source / "file").write_bytes(b"content")
    await site.back_up()
    (site.directory / "outside").mkdir()
    return Planter(site)


async def restored(planter: Planter, *leaves: list[Any], is_privileged: bool = False) -> Restored:
    """A safeset of these entries, whose extents count in one chunk."""
    planter.plant(leaves, [planter.chunk(CONTENT)])
    result = await planter.site.restore(is_privileged=is_privileged)
    assert os.listdir(planter.site.directory / "outside") == []
    assert not list(planter.site.target.rglob(".safeset-*"))
    return result


def file(planter: Planter, path: bytes, **more: Any) -> list[Any]:
    whole = {"size": len(CONTENT), "extents": [0, 0, len(CONTENT)]} | more
    return entry(path, planter.content_hash(CONTENT), **whole)


def names(site: Site) -> list[str]:
    return sorted(str(path.relative_to(site.target)) for path in site.target.rglob("*"))


async def test_a_planted_file_comes_back(planter: Planter) -> None:
    result = await restored(planter, [file(planter, b"a")])
    assert (result.files, result.missed.kept, result.manifest_damage) == (1, [], {})
    assert (planter.site.target / "a").read_bytes() == CONTENT


async def test_what_a_later_version_wrote_is_left_out_with_a_warning(planter: Planter) -> None:
    rows = [
        file(planter, b"a", extras={10: b"new", 8: 1}), file(planter, b"b", extras={7: {6: 1}}),
        file(planter, b"c", kind=9), entry(b"d", **DIRECTORY, extras={77: []}), file(planter, b"d/e"),
    ]  # fmt: skip
    result = await restored(planter, rows)
    assert (result.files, result.is_damaged) == (3, False)
    assert result.missed.kept == [
        (b"a", "changed while it was read"), (b"a", UNKNOWN_EXTRAS), (b"b", UNKNOWN_EXTRAS),
        (b"c", UNKNOWN_KIND), (b"d", UNKNOWN_EXTRAS),
    ]  # fmt: skip
    assert names(planter.site) == ["a", "b", "d", "d/e"]


async def test_what_a_later_version_put_behind_a_content_costs_nothing_of_it(planter: Planter) -> None:
    """An extra that is not known may have bytes in the extents, where large attributes and streams have theirs."""
    rows = [
        file(planter, b"a", extents=[0, 0, len(CONTENT), 0, 3, 9], extras={10: b"new"}),
        entry(b"b", **DIRECTORY, extents=[0, 0, 5], extras={10: b"new"}),
        file(planter, b"c", extras={10: b"new"}),
        file(planter, b"c", extents=[0, 2, 4]),
    ]
    result = await restored(planter, rows)
    assert (result.files, result.is_damaged) == (2, False)
    assert result.missed.kept == [(b"a", UNKNOWN_EXTRAS), (b"b", UNKNOWN_EXTRAS), (b"c", UNKNOWN_EXTRAS)]
    assert (planter.site.target / "a").read_bytes() == (planter.site.target / "c").read_bytes() == CONTENT


async def test_what_is_known_and_not_restored_is_told(planter: Planter) -> None:
    rows = [
        file(planter, b"a", extras={7: {3: {b"stream": [0, bytes(32)]}}}),
        file(planter, b"b", extras={4: {b"no.name": b""}}),
        entry(b"c", kind=6, extras={3: [1, 3]}),
        entry(b"d", kind=8),
    ]
    result = await restored(planter, rows)
    assert result.missed.kept == [
        (b"a", "alternate streams not restored"),
        (b"c", "device left out (--privileged)"),
        (b"d", "kind not restored"),
        (b"b", "extended attributes not set"),
    ]
    assert names(planter.site) == ["a", "b"]


async def test_entries_that_continue_are_one_file(planter: Planter) -> None:
    """Attributes go on, then extents, also over the end of a leaf; only the first is asked about its place."""
    (planter.site.target).mkdir()
    (planter.site.target / "there").write_bytes(b"another")
    half = len(CONTENT) // 2
    first, second = [0, 0, half], [0, half, len(CONTENT) - half]
    rows = [
        file(planter, b"a", extents=[], extras={4: {b"user.a": b""}}),
        file(planter, b"a", extents=first, extras={4: {b"user.b": b""}}),
    ]
    more = [file(planter, b"a", extents=second), file(planter, b"there", extents=first)]
    result = await restored(planter, rows, [*more, file(planter, b"there", extents=second)])
    assert (result.files, result.manifest_damage) == (1, {})
    assert result.missed.kept == [(b"there", "exists")]
    assert sorted(os.listxattr(planter.site.target / "a")) == ["user.a", "user.b"]
    assert (planter.site.target / "a").read_bytes() == CONTENT
    assert (planter.site.target / "there").read_bytes() == b"another"


@pytest.mark.parametrize("is_split", [False, True], ids=["one leaf", "two leaves"])
@pytest.mark.parametrize("change", [DIRECTORY, {"kind": 3, "extras": {1: b"../outside"}}, {"mode": 0o4755}])
async def test_a_path_that_comes_twice_is_damage(planter: Planter, change: dict[str, Any], is_split: bool) -> None:
    first, second = file(planter, b"b"), entry(b"b", **change)
    before, after = [file(planter, b"a"), first], [second, file(planter, b"c")]
    result = await restored(planter, *([before, after] if is_split else [before + after]))
    assert result.is_damaged
    assert "two different entries have the path b'b'" in next(iter(result.manifest_damage))
    assert names(planter.site) == ["a", "b", "c"]
    assert (planter.site.target / "b").read_bytes() == CONTENT


async def test_a_path_through_a_link_or_a_file_is_in_the_way(planter: Planter) -> None:
    outside = bytes(planter.site.directory / "outside")
    rows = [
        entry(b"f"), file(planter, b"f/below"), entry(b"l", kind=3, extras={1: outside}), file(planter, b"l/evil"),
        entry(b"l/deep", **DIRECTORY), file(planter, b"l/deep/evil"), file(planter, b"z"),
    ]  # fmt: skip
    result = await restored(planter, [rows[0], rows[1], rows[2], rows[4], rows[5], rows[3], rows[6]])
    assert {code for _, code in result.missed.kept} == {"in the way"}
    assert result.missed.count == 4
    assert names(planter.site) == ["f", "l", "z"]


@pytest.mark.parametrize(
    "change",
    [
        {"extents": [0, 1, len(CONTENT)]},
        {"extents": [0, 4_000_000, len(CONTENT)]},
        {"extents": [0, 0, len(CONTENT) - 1]},
        {"extents": [0, 0, len(CONTENT), 0, 0, 1]},
        {"extents": []},
        {"size": len(CONTENT) - 1},
        {"size": 0},
        {"size": 2**62},
    ],
)
async def test_a_content_that_does_not_fit_is_damage(planter: Planter, change: dict[str, Any]) -> None:
    result = await restored(planter, [file(planter, b"a", **change), file(planter, b"b")])
    assert (result.missed.kept, result.is_damaged) == ([(b"a", "damaged")], True)
    assert names(planter.site) == ["b"]


async def test_a_content_without_end_does_not_fill_the_disk(planter: Planter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same chunk thousands of times, for a file that says it is small."""
    written = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: written.append(len(data)) or write(descriptor, data))
    endless = file(planter, b"a", extents=[0, 0, len(CONTENT)] * 8192)
    result = await restored(planter, [endless, endless, endless])
    assert result.missed.kept == [(b"a", "damaged")]
    assert sum(written) < 10 * len(CONTENT)


async def test_a_name_that_is_too_long_here_costs_only_its_file(planter: Planter) -> None:
    rows = [file(planter, b"a" * 300), file(planter, b"b"), file(planter, b"c" * 300 + b"/file"), file(planter, b"d")]
    result = await restored(planter, rows)
    assert [code for _, code in result.missed.kept] == ["not written", "not written"]
    assert names(planter.site) == ["b", "d"]


@pytest.mark.parametrize("hash", [None, bytes(32)])
async def test_a_content_with_another_hash_is_damage(planter: Planter, hash: bytes | None) -> None:
    wrong = file(planter, b"a")
    wrong[9] = hash
    result = await restored(planter, [wrong, entry(b"empty", bytes(32)), file(planter, b"z")])
    assert result.missed.kept == [(b"a", "damaged"), (b"empty", "damaged")]
    assert names(planter.site) == ["z"]


@pytest.mark.parametrize("path", [b"../outside/evil", b"/evil", b"a//b", b"a/../../outside/x", b"."])
async def test_a_path_that_leads_elsewhere_is_damage(planter: Planter, path: bytes) -> None:
    alone = await restored(planter, [file(planter, path)])
    assert "component" in next(iter(alone.manifest_damage))
    assert names(planter.site) == []
    assert (await restored(planter, [file(planter, b"!")], [file(planter, path)])).is_damaged
    assert set(names(planter.site)) <= {"!"}


# What the vault may do


def three_leaves(planter: Planter) -> list[list[Any]]:
    return [[file(planter, b"%c" % letter), file(planter, b"%c2" % letter)] for letter in b"abc"]


def planted_ids(planter: Planter, leaves: list[list[Any]]) -> list[tuple[bytes, bytes]]:
    """(block, companion) of each leaf in order."""
    planter.plant(leaves, [planter.chunk(CONTENT)])
    return planter.leaves


async def test_a_lost_leaf_costs_only_its_own_paths(planter: Planter) -> None:
    leaves = planted_ids(planter, three_leaves(planter))
    del planter.site.vault.records[leaves[1][0]]
    result = await planter.site.restore()
    (sentence,) = result.manifest_damage
    assert sentence.startswith("nothing is known of 2 paths from /b to /b2: ")
    assert names(planter.site) == ["a", "a2", "c", "c2"]


async def test_a_leaf_in_the_place_of_another_costs_only_its_paths(planter: Planter) -> None:
    leaves = planted_ids(planter, three_leaves(planter))
    records = planter.site.vault.records
    records[leaves[1][0]] = records[leaves[2][0]]
    result = await planter.site.restore()
    assert len(result.manifest_damage) == 1
    assert names(planter.site) == ["a", "a2", "c", "c2"]


@pytest.mark.parametrize("replacement", [None, b"another"])
async def test_a_companion_that_is_missing_or_wrong_is_loud_and_costs_nothing(
    planter: Planter, replacement: bytes | None
) -> None:
    companion = planted_ids(planter, three_leaves(planter))[0][1]
    if replacement is None:
        del planter.site.vault.records[companion]
    else:
        planter.site.vault.records[companion] = planter.site.vault.records[planter.top_companion]
    result = await planter.site.restore()
    assert (result.files, result.is_damaged) == (6, True)
    assert companion.hex() in next(iter(result.manifest_damage))


async def test_a_wrong_companion_at_the_top_is_loud_and_costs_nothing(planter: Planter) -> None:
    leaves = planted_ids(planter, three_leaves(planter))
    planter.site.vault.records[planter.top_companion] = planter.site.vault.records[leaves[0][1]]
    result = await planter.site.restore()
    assert planter.top_companion.hex() in next(iter(result.manifest_damage))
    assert (result.files, result.is_damaged) == (6, True)


async def test_a_chunk_in_the_place_of_another_is_damage(planter: Planter) -> None:
    planter.plant([[file(planter, b"a")]], [planter.chunk(CONTENT)])
    other = planter.chunk(b"another chunk")
    records = planter.site.vault.records
    records[planter.chunk(CONTENT)] = records[other]
    result = await planter.site.restore()
    assert result.missed.kept == [(b"a", "damaged")]


async def refused(planter: Planter, sentence: str, sequence: int = 0) -> None:
    with pytest.raises(Failure, match=sentence) as caught:
        await planter.site.restore(sequence=sequence)
    assert caught.value.exit_code == 9
    assert names(planter.site) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"job_id": b"J" * 16}, "another keyring, job or computer"),
        ({"computer_id": b"C" * 16}, "another keyring, job or computer"),
        ({"keyring_id": b"K" * 16}, "another keyring, job or computer"),
        ({"payload_hash": bytes(32)}, "payload is not the one"),
        ({"top_block": bytes(32)}, "."),
        ({"level": 1}, "."),
    ],
)
async def test_a_root_that_does_not_belong_here_is_refused(
    planter: Planter, change: dict[str, Any], sentence: str
) -> None:
    def changed(root: Root) -> Root:
        return replace(root, **change)

    planter.plant([[file(planter, b"a")]], [planter.chunk(CONTENT)])
    block, companion = planter.site.vault.roots[-1][0][160:192], planter.site.vault.roots[-1][0][192:224]
    planter.site.vault.records[bytes(32)] = planter.site.vault.records[block]
    planter.change_root = changed
    planter.plant([[file(planter, b"a")]], [planter.chunk(CONTENT)])
    assert companion in planter.site.vault.records
    await refused(planter, sentence)


async def test_a_root_with_another_signature_or_countersignature_is_refused(planter: Planter) -> None:
    planter.plant([[file(planter, b"a")]], [planter.chunk(CONTENT)])
    root, payload = planter.site.vault.roots[-1]
    planter.site.vault.roots[-1] = root[:240] + bytes([root[240] ^ 1]) + root[241:], payload
    await refused(planter, "not signed by the job")
    planter.site.vault.roots[-1] = root, payload
    planter.site.vault.vault_id = b"V" * 16
    await refused(planter, "not countersigned by this vault")


async def test_an_older_root_than_the_countersigned_one_is_refused(planter: Planter) -> None:
    await planter.site.back_up()
    roots = planter.site.vault.roots
    newest = roots.pop()
    await refused(planter, "calls safeset 1 its latest, but it countersigned safeset 2")
    roots.append(newest)
    roots[0] = newest
    await refused(planter, "answered with safeset 2, not 1", sequence=1)


async def test_another_root_under_a_known_number_is_refused(planter: Planter) -> None:
    planter.site.vault.roots.clear()
    planter.plant([[file(planter, b"a")]], [planter.chunk(CONTENT)])
    await refused(planter, "is not the one that it countersigned")


async def test_a_root_of_an_earlier_timeline_is_older_whatever_its_number(planter: Planter) -> None:
    head = planter.site.state.job(planter.site.vault.job.job_id)
    known = head.load_head()
    assert known is not None
    head.save_head(type(known)(timeline=2, sequence=1, root_hash=known.root_hash))
    planter.plant([[file(planter, b"a")]], [planter.chunk(CONTENT)])
    await refused(planter, "calls safeset 2 its latest")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 4, "extras": {4: {b"user.large": [70_000, bytes(32)]}}},
        {"kind": 3, "extras": {1: b"x", 4: {b"user.large": [70_000, bytes(32)]}}},
        {"kind": 6, "extras": {3: [2**32 - 1, 2**32 - 1]}},
        {"user": "no\0body", "group": "no\0body"},
        {"extras": {4: {b"user.\0": b"", b"": b"x", b"x" * 300: b""}}},
        {"extras": {4: {b"system.posix_acl_access": b"no acl"}}},
    ],
    ids=["fifo", "link", "device", "owner", "names", "acl"],
)
async def test_odd_metadata_costs_no_other_path(planter: Planter, change: dict[str, Any]) -> None:
    rows = [file(planter, b"a"), entry(b"b", **change), file(planter, b"c")]
    result = await restored(planter, rows, is_privileged=True)
    assert {"a", "c"} <= set(names(planter.site))
    assert result.files >= 2


async def test_labels_of_a_manifest_are_not_set(planter: Planter) -> None:
    attributes = {b"security.selinux": b"any", b"user.a": b"", b"security.capability": bytes(20)}
    rows = [entry(b"d", kind=2, mode=0o700, extras={4: attributes}), entry(b"p", kind=4, extras={4: attributes})]
    await restored(planter, rows)
    assert os.listxattr(planter.site.target / "d") == ["user.a"]
    assert "security.capability" not in os.listxattr(planter.site.target / "p")
