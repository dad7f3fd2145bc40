"""Why frame_repr.py exists: when one of these fails, a library changed and the file may go."""

import inspect

import h2.connection
import hyperframe.frame

from protocol import frame_repr

BIG = b"\xff" * 1_000_000


def test_h2_still_computes_the_repr_of_every_frame_it_receives():
    assert "repr(frame)" in inspect.getsource(h2.connection.H2Connection._receive_frame)


def test_hyperframe_still_encodes_the_whole_body_for_its_repr():
    assert "hexlify(data)" in inspect.getsource(hyperframe.frame._raw_data_repr)
    assert "self._body_repr()" in inspect.getsource(hyperframe.frame.Frame.__repr__)
    assert "serialize_body()" in inspect.getsource(hyperframe.frame.Frame._body_repr)


def test_our_repr_of_long_frames_does_not_look_at_their_bytes():
    frame_repr.install()
    assert repr(hyperframe.frame.DataFrame(1, BIG)) == "DataFrame(stream_id=1, flags=[]): <1000000 bytes>"
    extension = hyperframe.frame.ExtensionFrame(type=77, stream_id=1, body=BIG)
    assert repr(extension) == "ExtensionFrame(stream_id=1, flags=[]): <type 77, 1000000 bytes>"
