"""What perf says becomes kinds of work."""

import os
from pathlib import Path

import pytest

from benchmarks.scenarios.profile import part_of, shares
from benchmarks.tables import render

# As perf 6 writes it, cut behind the symbol.
REPORT = """# To display the perf.data header info, please use --header/--header-only options.
#
# Overhead;Shared Object;Symbol
 20.00% ;_rust.abi3.so                            ;[.] aesni_cbc_encrypt       ;-      -
 15.00% ;blake3.cpython-311-x86_64-linux-gnu.so   ;[.] _blake3_hash_many_avx512;-      -
 10.00% ;[kernel.kallsyms]                        ;[k] _copy_from_iter         ;-      -
  5.00% ;[kernel.kallsyms]                        ;[k] clear_page_erms         ;-      -
  2.50% ;libc.so.6                                ;[.] __memmove_avx512        ;-      -
  2.50% ;somewhere.so                             ;[.] something               ;-      -
"""


def test_samples_are_added_up_by_the_kind_of_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    perf = tmp_path / "perf"
    perf.write_text(f"#!/bin/sh\ncat <<'END'\n{REPORT}END\n", encoding="utf-8")
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = shares(tmp_path / "data")
    assert found == pytest.approx({"AES-CBC": 0.2, "BLAKE3": 0.15, "kernel": 0.15, "copying": 0.025, "other": 0.025})


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("libpython3.11.so.1.0;[.] _PyEval_EvalFrameDefault", "Python"),
        ("libcrypto.so.3;[.] aesni_gcm_encrypt", "AES-GCM and TLS"),
        ("[kernel.kallsyms];[k] kmem_cache_alloc", "kernel"),
        ("libpython3.11.so.1.0;[.] _PyMem_DebugRawMalloc", "Python"),
    ],
)
def test_the_kind_of_work_is_that_of_object_or_symbol(place: str, part: str) -> None:
    assert part_of(place) == part


def test_the_table_has_the_largest_part_first() -> None:
    samples = [
        {"case": "first", "side": "agent", "part": part, "wall_seconds": 2.0, "cpu_seconds": cpu, "round": 0}
        for part, cpu in (("BLAKE3", 0.5), ("AES-CBC", 1.25), ("other", 0.001))
    ]
    result = {"scenario": "profile", "commit": "c" * 40, "versions": {}, "start": "now", "samples": samples}
    rendered = render({**result, "machine": {"processor": "P", "cores": 2}})
    assert "| first | agent | 2.00 | 1.75 | AES-CBC 1.25, BLAKE3 0.50 |" in rendered
