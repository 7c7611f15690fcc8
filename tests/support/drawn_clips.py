"""Drawn clips as files."""

from pathlib import Path

from encoder import in_encoder

from aia.synthetic.camera_scenes import render_camera
from aia.visualization.render import write_mp4


@in_encoder
def camera_clip(path: Path, label: str, seed: int) -> Path:
    """A clip of a second and a half in which the camera moves as `label` says."""
    write_mp4(path, render_camera(label, "mix", seed, seconds=1.5), 20)
    return path
