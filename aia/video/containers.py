"""Recognize still pictures and truncated videos by the bytes of the file.

FFmpeg does not report truncation, and the length in a header does not prove it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aia import limits

# Signatures of PNG, JPEG, TIFF (two byte orders), JPEG XL (two forms), JPEG 2000 and Photoshop.
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
# Brands of AVIF and HEIC, which hold pictures or a video.
HEIF_BRANDS = frozenset(b"avif avis heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 avci avcs".split())
HEAD_BYTES = 64  # enough to recognize a file
TS_MARK, TS_SPACING = b"G", (188, 192, 204)  # first byte of every MPEG-TS packet; possible sizes of a packet
TS_TAIL_PACKETS = 8  # that are checked at the end of the file
MP4_BOXES = frozenset(b"ftyp moov moof free skip wide sidx styp mfra emsg prft uuid meta mdat".split())
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # the two parts of a Matroska file
FLV_TAGS = (8, 9, 18)  # sound, pictures, data
GIF_EXTENSION, GIF_PICTURE = b"!", b","  # first bytes of the parts of a GIF
# The header and the packets of an ASF file.
ASF_PARTS = tuple(bytes.fromhex(f"{start}b2758e66cf11a6d900aa0062ce6c") for start in ("3026", "3626"))


def head(path: Path) -> bytes:
    """Return the first bytes of a file; none if it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(HEAD_BYTES)
    return b""


def is_still(head: bytes) -> bool:
    """Whether a file that is not a video begins like a picture."""
    return head.startswith(STILLS) or is_webp(head) or (head[:2] == b"BM" and head[6:10] == bytes(4))


def is_webp(head: bytes, animated: bool = False) -> bool:
    """Whether a file begins like a WebP; with `animated`, like an animated one."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP" and (not animated or b"ANIM" in head)


def is_heif(head: bytes) -> bool:
    """Whether a file is an AVIF or HEIC, which have the structure of MP4 and hold pictures or a video."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def is_truncated(path: Path, container: str) -> bool:
    """Whether a file ends inside one of its parts; False if the container's structure does not tell.

    Args:
        path: The file.
        container: FFmpeg's name of its format.
    """
    check = TRUNCATION_CHECKS.get(container.split(",")[0])
    if not check:
        return False
    with path.open("rb") as file:
        return check(file, path.stat().st_size)


def _mp4_truncated(file: BinaryIO, size: int) -> bool:
    def box_size(head: bytes) -> int:
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:16], "big") if length == 1 else length
        return length if head[4:8] in MP4_BOXES and length >= 8 else 0  # a length of 0 is "to the end"

    return _last_part_overruns(file, size, 0, box_size)


def _avi_truncated(file: BinaryIO, size: int) -> bool:
    def chunk_size(head: bytes) -> int:
        return 8 + int.from_bytes(head[4:8], "little") if head[:4] == b"RIFF" else 0

    return _last_part_overruns(file, size, 0, chunk_size)


def _flv_truncated(file: BinaryIO, size: int) -> bool:
    def tag_size(head: bytes) -> int:
        return 15 + int.from_bytes(head[1:4], "big") if head[0] in FLV_TAGS else 0

    start = int.from_bytes(file.read(9)[5:9], "big") + 4
    # The four bytes after a tag repeat its length; they may be missing after the last tag.
    return _last_part_overruns(file, size + 4, start, tag_size)


def _apng_truncated(file: BinaryIO, size: int) -> bool:
    def chunk_size(head: bytes) -> int:
        return 12 + int.from_bytes(head[:4], "big") if head[4:8].isalpha() and head[4:8] != b"IEND" else 0

    return _last_part_overruns(file, size, 8, chunk_size)


def _asf_truncated(file: BinaryIO, size: int) -> bool:
    def object_size(head: bytes) -> int:  # a live recording states too little
        return int.from_bytes(head[16:24], "little") if head.startswith(ASF_PARTS) else 0

    return _last_part_overruns(file, size, 0, object_size)


def _gif_truncated(file: BinaryIO, size: int) -> bool:
    """A picture or an extension is followed by blocks of at most 255 bytes, the last of which is empty."""

    def part_size(head: bytes) -> int:
        if head[:1] not in (GIF_EXTENSION, GIF_PICTURE):
            return 0
        start = file.tell() - len(head)
        end = start + (2 if head[:1] == GIF_EXTENSION else 11 + _gif_colors(head[9] if len(head) > 9 else 0))
        length = 1
        while length and end < size:
            file.seek(end)
            length = file.read(1)[0]
            end += 1 + length
        return end - start + (length > 0)  # one more if the empty block is missing

    start = 13 + _gif_colors(file.read(13).ljust(13, b"\0")[10])
    return _last_part_overruns(file, size - 1, start, part_size)  # the last byte says that no part follows


def _gif_colors(flags: int) -> int:
    """The bytes of a table of colors."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _last_part_overruns(file: BinaryIO, size: int, start: int, part_size: Callable[[bytes], int]) -> bool:
    """Whether the last part of a file, counted from `start`, reaches beyond its end.

    `part_size` takes the first bytes of a part and returns its size, or 0 if they begin no known part.
    """
    offset = start
    for _ in range(limits.MAX_PACKETS):
        file.seek(offset)
        head = file.read(24)
        step = part_size(head) if head else 0
        if not step:
            return False
        offset += step
        if offset > size:
            return True
    return False


def _matroska_truncated(file: BinaryIO, size: int) -> bool:
    """Check the length of the segment, which holds everything but the first few bytes."""
    head = file.read(HEAD_BYTES)
    end = 0
    for name in (EBML, SEGMENT):
        if head[end : end + 4] != name or len(head) < end + 12:
            return False
        width = 9 - head[end + 4].bit_length()  # the leading zeros give the length's size in bytes
        length = int.from_bytes(head[end + 4 : end + 4 + width], "big") & ~(1 << 7 * width)
        if width > 8 or length == (1 << 7 * width) - 1:  # unknown
            return False
        end += 4 + width + length
    return end > size


def _ts_truncated(file: BinaryIO, size: int) -> bool:
    """Check the distance of the last mark from the end; the file may begin inside a packet, so its size does not tell."""
    file.seek(max(0, size - TS_TAIL_PACKETS * max(TS_SPACING)))
    tail = file.read()
    for spacing in TS_SPACING:
        for first in range(spacing):
            marks = tail[first::spacing]
            if len(marks) >= TS_TAIL_PACKETS // 2 and not marks.strip(TS_MARK):
                return (len(tail) - first - 1) % spacing + 1 not in (min(TS_SPACING), spacing)
    return False


TRUNCATION_CHECKS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "mov": _mp4_truncated,
    "matroska": _matroska_truncated,
    "avi": _avi_truncated,
    "flv": _flv_truncated,
    "mpegts": _ts_truncated,
    "apng": _apng_truncated,
    "asf": _asf_truncated,
    "gif": _gif_truncated,
}
