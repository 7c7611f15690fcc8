"""Reads video files into `Clip`s; nothing here needs torch.

Each module uses only the ones before it:

    clip         `Clip`, and which frames of a video a network sees
    containers   file types and truncation, recognized by bytes
    hdr          HDR signals to sRGB pictures
    source       open a file within limits, choose its video stream, word its errors
    scan         list the packets of a file: frame times, duration, damage
    pictures     decoded frames to upright RGB pictures
    reader       `read_clip` and `read_frames`: decode the chosen frames
    worker       `read_clip` in a separate process, for untrusted files
"""

from aia.video.clip import Clip, sample_indices
from aia.video.reader import read_clip, read_frames

__all__ = ["Clip", "read_clip", "read_frames", "sample_indices"]
