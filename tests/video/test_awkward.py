"""What reading promises for any file: the frames that a plain decode of the whole file gives, or one sentence.

In this process, and in a separate one, as the page does.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from awkward import FILES
from video_files import every_frame, number_of

from aia.errors import AIAError
from aia.video import reader, worker
from aia.video.clip import sample_indices

UNTIMED = (".mjpeg", ".obu")  # bare streams that state no rate
READERS = {"here": reader.read_clip, "apart": worker.read_clip}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="other systems do not allow such names")
@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_the_right_frames_or_one_sentence(tmp_path, name):
    file, path = FILES[name], tmp_path / name
    file.make(path)
    clips = []
    for where, read in READERS.items():
        if file.refused:
            with pytest.raises(AIAError) as caught:
                read(path)
            sentence = str(caught.value)
            if where == "here":  # the library names the path as it was given
                sentence = sentence.replace(f"{tmp_path}{os.sep}", "", 1)
            assert file.refused in sentence and sentence.startswith(f"“{name}”") and sentence.endswith(".")
            assert (
                sentence.count("\n") == name.count("\n") and "Error" not in sentence and str(tmp_path) not in sentence
            )
            continue
        clip = read(path)
        clips.append(clip)
        truth, _ = every_frame(path, file.stream, file.show)
        assert clip.num_frames == len(truth) and file.count in (None, len(truth))
        assert clip.indices.tolist() == sample_indices(len(truth), 8)
        for frame, index in zip(clip.frames, clip.indices, strict=True):
            expected = truth[index]
            if file.says == "size changes" and expected.shape != truth[0].shape:
                continue
            assert frame.shape == expected.shape
            assert np.abs(frame.astype(int) - expected).max() <= file.off_by
        if file.first is not None:
            assert [number_of(frame) for frame in clip.frames] == (clip.indices + file.first).tolist()
        assert (np.diff(clip.times)[np.diff(clip.indices) > 0] > 0).all() and clip.times[0] >= 0
        told = [words for words in clip.warnings if "more than once" not in words and "are assumed" not in words]
        assert len(told) == bool(file.says) and all(file.says in words for words in told)
        assert sum("more than once" in words for words in clip.warnings) == (len(truth) < 8)
        assert sum("are assumed" in words for words in clip.warnings) == (path.suffix in UNTIMED)
    if clips:
        here, apart = clips
        assert np.array_equal(here.frames, apart.frames) and np.array_equal(here.times, apart.times)
        assert (here.fps, here.duration, here.warnings) == (apart.fps, apart.duration, apart.warnings)
