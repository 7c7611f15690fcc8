"""An encoder that crashes ends no test run: it works in a process of its own."""

import pytest
from encoder import process
from video_files import every_frame, write_video


def test_after_a_crash_the_next_file_is_written(tmp_path):
    write_video(tmp_path / "first.mp4", 3)
    before = process()
    before.kill()
    for name in ("second.mp4", "third.mkv"):
        assert len(every_frame(write_video(tmp_path / name, 5))[0]) == 5
    assert process() is not before and process().poll() is None


def test_what_cannot_be_encoded_is_said(tmp_path):
    with pytest.raises(AssertionError, match="nothing-like-that"):
        write_video(tmp_path / "film.mp4", 1, codec="nothing-like-that")
