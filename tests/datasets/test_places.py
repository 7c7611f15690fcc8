import re

from aia.datasets.places import VIDEOS
from aia.video.source import FORMAT_NAMES


def test_a_folder_offers_every_format_that_users_are_told_of():
    assert {f".{name.lower()}" for name in re.findall(r"[A-Z]\w+", FORMAT_NAMES)} <= set(VIDEOS)
