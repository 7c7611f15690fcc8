"""What a file is by its own bytes: a still picture, or a video that stops in the middle.

FFmpeg does not say the second, and a length that a header states does not prove it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aia import limits

# How still pictures begin: PNG, JPEG, TIFF, JPEG XL, JPEG 2000, Photoshop; and AVIF and HEIC, which may also be films.
STILLS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"\xff\x0a",
    b"\0\0\0\x0cJXL ",
    b"\0\0\0\x0cjP  ",
    b"8BPS",
)
HEIF_BRANDS = frozenset(b"avif avis heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 avci avcs".split())
HEAD_BYTES = 64  # that are enough to tell
TS_MARK, TS_SPACING = b"G", (188, 192, 204)  # MPEG-TS marks the start of every packet; bytes from one to the next
TS_SEEN = 8  # packets at the end
MP4_BOXES = frozenset(b"ftyp moov moof free skip wide sidx styp mfra emsg prft uuid meta mdat".split())
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # the two parts of a Matroska file
FLV_TAGS = (8, 9, 18)  # sound, pictures, data


def head(path: Path) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(HEAD_BYTES)
    return b""


def is_still(head: bytes) -> bool:
    """Whether a file that is no video begins like a picture."""
    return head.startswith(STILLS) or is_webp(head) or (head[:2] == b"BM" and head[6:10] == bytes(4))


def is_webp(head: bytes, animated: bool = False) -> bool:
    """Whether a file begins like a WebP, or like one of several pictures."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP" and (not animated or b"ANIM" in head)


def is_heif(head: bytes) -> bool:
    """Whether a file is an AVIF or HEIC, which are built like MP4 and hold pictures or a film."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def stops_inside(path: Path, container: str) -> bool:
    """Whether a file ends inside one of its parts; False where the container's parts do not tell.

    Args:
        path: The file.
        container: FFmpeg's name of its format.
    """
    checks = {"mov": _mp4, "matroska": _matroska, "avi": _avi, "flv": _flv, "mpegts": _ts}
    check = checks.get(container.split(",")[0])
    if not check:
        return False
    with path.open("rb") as file:
        return check(file, path.stat().st_size)


def _mp4(file: BinaryIO, size: int) -> bool:
    def box(head: bytes) -> int:
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:16], "big") if length == 1 else length
        return length if head[4:8] in MP4_BOXES and length >= 8 else 0  # a length of 0 is "to the end"

    return _overrun(file, size, 0, box)


def _avi(file: BinaryIO, size: int) -> bool:
    return _overrun(file, size, 0, lambda head: 8 + int.from_bytes(head[4:8], "little") if head[:4] == b"RIFF" else 0)


def _flv(file: BinaryIO, size: int) -> bool:
    start = int.from_bytes(file.read(9)[5:9], "big") + 4
    # The length of every tag stands behind it too, but may be missing behind the last.
    return _overrun(
        file, size + 4, start, lambda head: 15 + int.from_bytes(head[1:4], "big") if head[0] in FLV_TAGS else 0
    )


def _overrun(file: BinaryIO, size: int, start: int, length: Callable[[bytes], int]) -> bool:
    """Whether the last of the parts from `start` on reaches beyond the end; `length` is 0 for what is none of them."""
    at = start
    for _ in range(limits.MAX_PACKETS):
        file.seek(at)
        head = file.read(16)
        step = length(head) if head else 0
        if not step:
            return False
        at += step
        if at > size:
            return True
    return False


def _matroska(file: BinaryIO, size: int) -> bool:
    """Looks at the length of the segment, which holds everything but the first few bytes."""
    head = file.read(HEAD_BYTES)
    end = 0
    for name in (EBML, SEGMENT):
        if head[end : end + 4] != name or len(head) < end + 12:
            return False
        width = 9 - head[end + 4].bit_length()  # leading zeros tell how many bytes the length has
        length = int.from_bytes(head[end + 4 : end + 4 + width], "big") & ~(1 << 7 * width)
        if width > 8 or length == (1 << 7 * width) - 1:  # unknown
            return False
        end += 4 + width + length
    return end > size


def _ts(file: BinaryIO, size: int) -> bool:
    """Looks at the last mark; the file may also begin inside a packet, so its size does not tell."""
    file.seek(max(0, size - TS_SEEN * max(TS_SPACING)))
    tail = file.read()
    for spacing in TS_SPACING:
        for first in range(spacing):
            marks = tail[first::spacing]
            if len(marks) >= TS_SEEN // 2 and not marks.strip(TS_MARK):
                return (len(tail) - first - 1) % spacing + 1 not in (min(TS_SPACING), spacing)
    return False
