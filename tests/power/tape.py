#!/usr/bin/env python3
"""What a power cut may leave on a disk: the tape of the recorder, and its replay.

A disk that loses power holds all that was written up to the last flush before the cut;
of each write after it, it holds all, nothing, or any of its sectors (and a later write
may be there without an earlier one). Nothing here mounts or starts anything:

    tape.py --selftest      exit 0: a replay shows what it may, and nothing else
"""

import mmap
import random
import struct
import sys
import tempfile

SECTOR = 512
# As recorder.py writes it: kind, offset, length, when; the data follows.
ENTRY = struct.Struct("<cxxxxxxxQQd")
WRITE, FORCED, FLUSH, FAILED_WRITE, FAILED_FLUSH = b"w", b"u", b"f", b"e", b"E"


class Tape:
    """Every write and flush in order; entry n is `entries[n]` = (kind, offset, start, length, when)."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.entries = []
        at = 0
        while at + ENTRY.size <= len(self.bytes):
            kind, offset, length, when = ENTRY.unpack_from(self.bytes, at)
            at += ENTRY.size
            self.entries.append((kind, offset, at, length, when))
            at += length

    def data(self, entry):
        return self.bytes[entry[2] : entry[2] + entry[3]]

    def last_flush(self, cut):
        """How many entries are durable when the power goes after `cut` entries."""
        while cut and self.entries[cut - 1][0] != FLUSH:
            cut -= 1
        return cut


class Base:
    """An image that moves along a tape: all that is durable at one point of it."""

    def __init__(self, tape, image, page=1 << 16):
        self.tape, self.image, self.at, self.page = tape, image, 0, page
        self.touched = set()

    def advance(self, entry):
        """Writes what lies before `entry` (a count). It only goes forward."""
        assert entry >= self.at, "a base goes forward only"
        for one in self.tape.entries[self.at : entry]:
            if one[0] in (WRITE, FORCED):
                self.put(one[1], self.tape.data(one))
        self.at = entry

    def put(self, offset, data):
        self.image[offset : offset + len(data)] = data
        last = (offset + max(len(data), 1) - 1) // self.page
        self.touched.update(range(offset // self.page, last + 1))


def torn(tape, cut, chance):
    """What of the writes since the last flush is there, for one cut: (offset, data) in order.

    Each is there wholly, in some of its sectors, or not at all; one cut is more or less
    kind than another, so that all-there and nothing-there come up as well.
    """
    kindness = chance.choice([0.1, 0.3, 0.5, 0.7, 0.9])
    for entry in tape.entries[tape.last_flush(cut) : cut]:
        kind, offset, _start, length, _when = entry
        if kind not in (WRITE, FORCED):
            continue
        data = tape.data(entry)
        fate = "whole" if kind == FORCED else chance.choice(["whole", "torn", "torn", "torn", "gone"])
        if fate == "whole":
            yield offset, data
        elif fate == "torn":
            for at in range(0, length, SECTOR):
                if chance.random() < kindness:
                    yield offset + at, data[at : at + SECTOR]


def selftest():
    with tempfile.NamedTemporaryFile() as file:
        script = [
            (WRITE, 0, b"a" * 1024), (FLUSH, 0, b""), (WRITE, 512, b"b" * 1024),
            (FORCED, 2048, b"c" * 512), (WRITE, 0, b"d" * 512), (FAILED_FLUSH, 0, b""), (FLUSH, 0, b""),
        ]
        for kind, offset, data in script:
            file.write(ENTRY.pack(kind, offset, len(data), 0.0) + data)
        file.flush()
        tape = Tape(file.name)
    assert [tape.last_flush(cut) for cut in range(8)] == [0, 0, 2, 2, 2, 2, 2, 7]
    seen = {cut: set() for cut in range(8)}
    for seed in range(400):
        for cut in seen:
            image = bytearray(2560)
            base = Base(tape, image)
            base.advance(tape.last_flush(cut))
            for offset, data in torn(tape, cut, random.Random(seed)):
                base.put(offset, data)
            seen[cut].add(bytes(image[at] or 46 for at in range(0, 2560, SECTOR)).decode())
    expected = {
        0: {"....."},
        # Never flushed: any of the two sectors.
        1: {a + b + "..." for a in "a." for b in "a."},
        # Flushed: there, whatever comes after it.
        2: {"aa..."},
        3: {"a" + b + c + ".." for b in "ab" for c in "b."},
        # A forced write is there, the one before it perhaps.
        4: {"a" + b + c + ".c" for b in "ab" for c in "b."},
        5: {a + b + c + ".c" for a in "ad" for b in "ab" for c in "b."},
        # A flush that failed makes nothing durable.
        6: {a + b + c + ".c" for a in "ad" for b in "ab" for c in "b."},
        7: {"dbb.c"},
    }
    for cut, images in expected.items():
        assert seen[cut] == images, f"cut {cut}: {sorted(seen[cut])} instead of {sorted(images)}"
    print(f"{sum(map(len, expected.values()))} images, each seen, and no other")


if __name__ == "__main__":
    if sys.argv[1:] != ["--selftest"]:
        sys.exit(__doc__)
    selftest()
