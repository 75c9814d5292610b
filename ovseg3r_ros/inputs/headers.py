"""The header of a serialised message, read without touching the rest: an image is decoded only where it is used."""

import struct
from typing import NamedTuple

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.bag_messages import header_stamp_ns

_FRAME_ID = 16  # CDR: 4 bytes of encapsulation, 8 of stamp, 4 that give the length of the name, its end included


class Header(NamedTuple):
    """`std_msgs/Header`."""

    stamp_ns: int
    frame_id: str


def read_header(raw: bytes) -> Header:
    """The header that a message begins with; raises `Rejected("bad_message")` where the bytes hold none."""
    stamp_ns = header_stamp_ns(raw)
    if len(raw) < _FRAME_ID:
        raise Rejected("bad_message", f"message of {len(raw)} bytes ends inside its header")
    (length,) = struct.unpack_from("<I" if raw[1] & 1 else ">I", raw, _FRAME_ID - 4)
    name = raw[_FRAME_ID : _FRAME_ID + length]
    if len(name) < length:
        raise Rejected("bad_message", f"message of {len(raw)} bytes ends inside a frame_id of {length} bytes")
    try:
        return Header(stamp_ns, name.rstrip(b"\0").decode())
    except UnicodeDecodeError as error:
        raise Rejected("bad_message", f"frame_id is not UTF-8: {name[:40]!r}") from error
