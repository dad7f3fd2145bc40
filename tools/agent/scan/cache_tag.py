"""Directories that programs mark as caches: what is in them can be made again (bford.info/cachedir)."""

import os
import stat

TAG = b"CACHEDIR.TAG"
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_tagged(directory: int) -> bool:
    """By descriptor. A tag is a file that begins with the signature; a name alone may be anybody's."""
    try:
        descriptor = os.open(TAG, _OPEN, dir_fd=directory)
    except OSError:
        return False
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return is_file and os.read(descriptor, len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False
    finally:
        os.close(descriptor)
