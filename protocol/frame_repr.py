"""A cheap repr for frames with a long body: the one place where a foreign library is changed.

h2 4.4.1 computes `repr(frame)` for a trace line of every frame it receives, whether or not anybody logs, and
hyperframe's repr serialises and hex-encodes the whole body of every DATA frame. DATA normally goes around h2
(h2_inside.py); what does not, and unknown frames, get this. tests/protocol/test_frame_repr.py fails when either library
no longer does so; this file goes then.
"""

from hyperframe.frame import DataFrame, ExtensionFrame


def install() -> None:
    """Give DATA and unknown frames a repr that does not look at their bytes. May be called again."""
    DataFrame._body_repr = _data_repr  # type: ignore[method-assign, assignment]
    ExtensionFrame._body_repr = _extension_repr  # type: ignore[method-assign, assignment]


def _data_repr(frame: DataFrame) -> str:
    return f"<{len(frame.data)} bytes>"


def _extension_repr(frame: ExtensionFrame) -> str:
    return f"<type {frame.type}, {len(frame.body)} bytes>"
