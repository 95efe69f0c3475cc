"""The recorded disk: an nbdkit plugin that writes down every write and every flush.

    nbdkit python recorder.py folder=DIR size=BYTES

It keeps in DIR `disk` (what a disk that never loses power would hold), `tape` (each
write and flush in order, as tape.py reads it) and `count` (how many there are, eight
bytes that others map: who reads it in the moment of an answer knows where on the tape
that answer was given). Two files tell it to fail once: `fail-flush` (the next flush
is EIO and makes nothing durable) and `fail-write` (the next write that holds the bytes
in that file is EIO and writes nothing). It answers by removing the file.
"""

import builtins
import errno
import mmap
import os
import struct
import time

import nbdkit

API_VERSION = 2
# Kind, offset, length, when (seconds since the epoch); the data follows. tape.py reads it.
ENTRY = struct.Struct("<cxxxxxxxQQd")
COUNT = struct.Struct("@Q")

folder = size = disk = tape = count = None
entries = 0


def config(key, value):
    global folder, size
    if key == "folder":
        folder = value
    elif key == "size":
        size = nbdkit.parse_size(value)
    else:
        raise ValueError(f"unknown parameter {key}")


def config_complete():
    if folder is None or size is None:
        raise ValueError("folder=DIR and size=BYTES are required")


def after_fork():
    global disk, tape, count
    disk = mapped("disk", size)
    count = mapped("count", COUNT.size)
    tape = builtins.open(os.path.join(folder, "tape"), "wb", buffering=0)


def mapped(name, length):
    with builtins.open(os.path.join(folder, name), "w+b") as file:
        file.truncate(length)
        return mmap.mmap(file.fileno(), length)


def record(kind, offset=0, data=b""):
    global entries
    tape.write(ENTRY.pack(kind, offset, len(data), time.time()) + data)
    entries += 1
    # Not pack_into, which writes zeros first, and somebody reads them.
    count[: COUNT.size] = COUNT.pack(entries)


def told_to_fail(name, data=None):
    path = os.path.join(folder, name)
    try:
        with builtins.open(path, "rb") as file:
            mark = file.read()
    except FileNotFoundError:
        return False
    if data is not None and (not mark or mark not in data):
        return False
    os.unlink(path)
    return True


def fail(kind):
    record(kind)
    nbdkit.set_error(errno.EIO)
    raise OSError(errno.EIO, "told to fail")


def thread_model():
    return nbdkit.THREAD_MODEL_SERIALIZE_ALL_REQUESTS


def open(readonly):
    return 1


def get_size(h):
    return size


def can_flush(h):
    return True


def can_fua(h):
    return nbdkit.FUA_NATIVE


def pread(h, buf, offset, flags):
    buf[:] = disk[offset : offset + len(buf)]


def pwrite(h, buf, offset, flags):
    data = bytes(buf)
    if told_to_fail("fail-write", data):
        fail(b"e")
    disk[offset : offset + len(data)] = data
    record(b"u" if flags & nbdkit.FLAG_FUA else b"w", offset, data)


def flush(h, flags):
    if told_to_fail("fail-flush"):
        fail(b"E")
    record(b"f")
