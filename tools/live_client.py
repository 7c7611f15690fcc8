"""A program in place of a browser in the tab Live: it sends a camera's frames, and opens the answers."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from aia.video.reader import read_frames

QUALITY = 85  # of a JPEG, as a browser's canvas writes it


class LiveClient:
    """One session.

    Attributes:
        key: The session's key.
    """

    def __init__(self, http: httpx.Client) -> None:
        """Opens a session.

        Args:
            http: With the page's address.

        Raises:
            httpx.HTTPStatusError: The page refuses it.
        """
        self.http = http
        self.key = http.post("/live").raise_for_status().json()["session"]

    def send(self, frames: Sequence[tuple[float, bytes]], **asked: Any) -> tuple[dict[str, Any], bytes]:
        """Sends frames with their times.

        Args:
            frames: Times in seconds, and JPEGs.
            **asked: "model", "task", "block" and "seconds".

        Returns:
            The answer, and the bytes of its maps.

        Raises:
            httpx.HTTPStatusError: The page refuses them.
        """
        body = b"".join(struct.pack("<dI", time, len(jpeg)) + jpeg for time, jpeg in frames)
        answer = self.http.post(f"/live/{self.key}", params=asked, content=body).raise_for_status().content
        (length,) = struct.unpack_from("<I", answer)
        return json.loads(answer[4 : 4 + length]), answer[4 + length :]

    def close(self) -> None:
        """Ends the session."""
        self.http.post(f"/live/{self.key}/close")


def jpegs(video: Path) -> list[bytes]:
    """The frames of a video as JPEGs."""
    files = []
    for frame in read_frames(video).frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=QUALITY)
        files.append(file.getvalue())
    return files
