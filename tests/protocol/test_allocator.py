"""Memory that was freed is used again without asking the kernel for it."""

import platform
import subprocess
import sys

import pytest

# Prints how many pages the kernel had to give while buffers of a MiB come and go.
_PROGRAM = """
import resource, sys
from protocol.allocator import reuse_freed_memory
if sys.argv[1] == "reuse":
    reuse_freed_memory()
def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
buffers = [bytearray(1 << 20) for _ in range(16)]
del buffers
before = pages()
for _ in range(20):
    buffers = [bytearray(1 << 20) for _ in range(16)]
    del buffers
print(pages() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_buffers_are_made_of_pages_that_are_there() -> None:
    def pages(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, check=True).stdout)

    assert pages("as it comes") > 10_000
    assert pages("reuse") < 1_000
