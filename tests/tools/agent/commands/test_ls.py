"""`vault-agent ls --json`: which bytes a path has, whatever its text shows."""

import base64
import json
import os

from tests.tools.agent.conftest import Site
from tools.agent.commands.ls import _document


async def test_paths_come_back_from_base64(site: Site) -> None:
    """The byte 0xff and the four characters that stand for it look the same as text."""
    names = [b"\\xff", b"\xff", "é".encode(), b"line\nfeed"]
    for name in names:
        (site.source / os.fsdecode(name)).touch()
    await site.back_up()
    documents = [json.loads(json.dumps(_document(entry))) for entry in await site.entries(1)]
    paths = [base64.b64decode(document["path_base64"]) for document in documents]
    assert sorted(paths) == sorted([bytes(site.source), *(bytes(site.source) + b"/" + name for name in names)])
    assert len({document["path"] for document in documents}) == len(documents) - 1
