"""The clips of folders and patterns on this machine, and options that some kinds of data do not have."""

from __future__ import annotations

import pytest

from aia import AIAError
from aia.datasets.listing import list_clips
from aia.training.data import read_manifest


@pytest.fixture
def clips(tmp_path):
    """A class in a folder, one behind a link to a folder elsewhere, and links that lead in a circle."""
    for file in ("clips/right/b.mp4", "elsewhere/a.mp4", "elsewhere/deep/c.mp4"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "clips" / "left").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "clips" / "right" / "again").symlink_to(tmp_path / "clips")
    (tmp_path / "elsewhere" / "deep" / "again").symlink_to("..")
    return tmp_path / "clips"


def test_a_class_behind_a_link_has_its_clips_as_in_training(clips):
    found = [(item.path, item.label) for item in list_clips(clips)]
    assert found == [("left/a.mp4", "left"), ("left/deep/c.mp4", "left"), ("right/b.mp4", "right")]
    assert list_clips(f"file://{clips}") == list_clips(clips)
    assert {(sample.video.name, sample.kind) for sample in read_manifest(clips)} >= {
        ("a.mp4", "left"),
        ("b.mp4", "right"),
    }


def test_a_link_to_a_folder_above_brings_in_nothing_else(clips):
    before = list_clips(clips)
    (clips / "up").symlink_to("..")
    (clips / "root").symlink_to("/")
    assert list_clips(clips) == before


def test_two_links_to_one_folder_are_two_classes(clips):
    (clips / "also left").symlink_to("left")
    assert {item.label for item in list_clips(clips)} == {"also left", "left", "right"}


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*/*.mp4", ["left/a.mp4", "right/b.mp4"]),
        ("**/*.mp4", ["left/a.mp4", "left/deep/c.mp4", "right/b.mp4"]),
        ("l[e]ft/?.mp4", ["left/a.mp4"]),
        ("*", []),
    ],
)
def test_a_pattern_finds_what_is_behind_links_and_no_clip_again_and_again(clips, pattern, paths, monkeypatch):
    monkeypatch.chdir(clips)
    for data in (pattern, f"{clips}/{pattern}"):
        if paths:
            assert [item.path for item in list_clips(data)] == paths
        else:
            with pytest.raises(AIAError, match="holds no videos"):
                list_clips(data)


@pytest.mark.parametrize("data", ["", "right", "*/*.mp4", "right/b.mp4"])
def test_an_option_that_the_data_cannot_have_is_one_sentence(clips, data):
    with pytest.raises(
        AIAError, match=r"^--root is the folder of a table's files, and .* is no table; leave it out\.$"
    ):
        list_clips(clips / data, root="elsewhere")
    with pytest.raises(
        AIAError, match=r"^A --group-column is of a table or of shards, and .* is neither; leave it out\.$"
    ):
        list_clips(clips / data, group_column="site")
