import os, time
from pathlib import Path
import pytest
from tests.tools.agent.service.test_asked_restore import *  # noqa
from tests.tools.agent.service.test_asked_restore import ordered  # noqa
for _n in [n for n in globals() if n.startswith("test_")]: del globals()[_n]
from protocol.errors import ConnectionLost
from tools.agent.service import asked_restore as ar

def test_A_refused_early_is_later_done(ordered, monkeypatch):
    real = time.time_ns
    msg = ordered.order()
    monkeypatch.setattr(ar.time, "time_ns", lambda: real() - 3 * HOUR_NS)
    assert ordered.carry_out(msg) == 0
    print("told", ordered.end)
    monkeypatch.setattr(ar.time, "time_ns", real)
    assert ordered.carry_out(msg) == 0
    print("told", ordered.end, ordered.has_restored)

def test_B_clock_ahead_forgets(ordered, monkeypatch):
    real = time.time_ns
    msg = ordered.order(overwrite="always")
    ordered.carry_out(msg); print("first", ordered.end)
    f = next(p for p in ordered.site.target.rglob("file")); f.write_bytes(b"users new work")
    monkeypatch.setattr(time, "time_ns", lambda: real() + 100 * DAY_NS)
    ordered.carry_out(msg); print("ahead", ordered.end)
    monkeypatch.setattr(time, "time_ns", real)
    ordered.carry_out(msg); print("again", ordered.end, f.read_bytes()[:14])
    assert f.read_bytes() == b"users new work"

def test_C_cut_at_end_repeats(ordered, monkeypatch):
    msg = ordered.order(overwrite="always")
    realc = ar.carry_out_restore
    def cut(*a):
        realc(*a); raise ConnectionLost("cut after the last file")
    monkeypatch.setattr(ar, "carry_out_restore", cut)
    try: ordered.carry_out(msg)
    except Exception as e: print("cut", type(e))
    f = next(p for p in ordered.site.target.rglob("file")); f.write_bytes(b"users new work")
    monkeypatch.setattr(ar, "carry_out_restore", realc)
    ordered.carry_out(msg); print(ordered.end)
    assert f.read_bytes() == b"users new work"
