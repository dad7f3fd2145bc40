"""A file system on which no file becomes a further name of another."""

import errno
import os
from typing import Any

import pytest


def refuse_links(patch: pytest.MonkeyPatch, number: int = errno.EMLINK) -> None:
    """`number`: of the OSError. A file without a name still gets its first one."""
    real = os.link

    def refuse(source: Any, *arguments: Any, **options: Any) -> None:
        if os.fsencode(source).startswith(b"/proc/self/fd/") and os.stat(source).st_nlink:
            raise OSError(number, "told to fail")
        real(source, *arguments, **options)

    patch.setattr(os, "link", refuse)
