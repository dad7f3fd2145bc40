"""What is in a directory that a CACHEDIR.TAG says to be a cache is left out, where the job wants it so."""

import os

import pytest

from tests.tools.agent.conftest import Site
from tools.client.failure import Failure

TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# of a test\n"
WANTED = b"\x81\xaeexclude_caches\xc3"


def make_caches(site: Site) -> None:
    for name, tag in (("cache", TAG), ("other", b"# a file of that name\n"), ("short", TAG[:42])):
        (site.source / name / "below").mkdir(parents=True)
        (site.source / name / "CACHEDIR.TAG").write_bytes(tag)
        for path in ("file", "below/file"):
            (site.source / name / path).write_bytes(path.encode())
    (site.source / "linked").mkdir()
    (site.source / "linked" / "file").write_bytes(b"kept")
    (site.source / "linked" / "CACHEDIR.TAG").symlink_to("../cache/CACHEDIR.TAG")


def restored(site: Site) -> set[str]:
    root = site.restored_source
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def files(*names: str) -> set[str]:
    return {f"{name}/{path}" for name in names for path in ("CACHEDIR.TAG", "file", "below/file")}


async def test_the_directory_and_its_tag_are_kept(site: Site) -> None:
    make_caches(site)
    site.define(options=WANTED)
    assert (await site.back_up()).missed.kept == []
    await site.restore()
    linked = {"linked/CACHEDIR.TAG", "linked/file"}
    assert restored(site) == {"cache/CACHEDIR.TAG", *files("other", "short"), *linked}
    assert not (site.restored_source / "cache/below").exists()


async def test_without_being_asked_nothing_is_left_out(site: Site) -> None:
    make_caches(site)
    await site.back_up()
    await site.restore()
    assert files("cache") < restored(site)


@pytest.mark.parametrize("path", ["cache", "cache/below"])
async def test_what_an_include_names_is_taken_all_the_same(site: Site, path: str) -> None:
    make_caches(site)
    site.define(options=WANTED, include=[bytes(site.source), bytes(site.source / path)])
    await site.back_up()
    await site.restore()
    found = {name for name in restored(site) if name.startswith("cache/")}
    assert found == (files("cache") if path == "cache" else {"cache/CACHEDIR.TAG", "cache/below/file"})


@pytest.mark.parametrize(
    "options", [b"\x81\xaeexclude_caches\xc2", b"\x81\xaeexclude_cachex\xc3"], ids=["value", "name"]
)
async def test_another_value_or_name_refuses_the_run(site: Site, options: bytes) -> None:
    make_caches(site)
    site.define(options=options)
    with pytest.raises(Failure, match="which this agent does not know") as caught:
        await site.back_up()
    assert os.fsencode(caught.value.message).isascii()
