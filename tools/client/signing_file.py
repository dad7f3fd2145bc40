"""The signing key of the person whose context file stands beside it.

Not in the context itself: whoever wrote that, an operator with `account create`, could have put in a key that he knows.
"""

import re
from pathlib import Path

from tools.client.creator_key import SEED_BYTES, CreatorKey, create_creator_key
from tools.client.failure import Failure
from tools.client.private_file import create_private, read_private

_SUFFIX = ".signing-key"
_TEXT = re.compile(rb"[0-9a-f]{%d}\n" % (2 * SEED_BYTES))


def signing_file(context_file: Path) -> Path:
    return context_file.with_name(context_file.name + _SUFFIX)


def load_creator_key(context_file: Path) -> CreatorKey | None:
    path = signing_file(context_file)
    try:
        text = read_private(path, 2 * SEED_BYTES + 2)
    except FileNotFoundError:
        return None
    if not _TEXT.fullmatch(text):
        raise Failure("damaged", f"{path} is not a signing key", "bring it back from a copy")
    return CreatorKey(bytes.fromhex(text.decode("ascii")))


def ensure_creator_key(context_file: Path) -> CreatorKey:
    """Made, and on disk before it is returned, when there is none yet; of two that try at once one makes it."""
    known = load_creator_key(context_file)
    if known is not None:
        return known
    made = create_creator_key()
    try:
        create_private(signing_file(context_file), made.seed.hex().encode() + b"\n")
    except FileExistsError:
        return ensure_creator_key(context_file)
    return made
