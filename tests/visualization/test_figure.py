"""What a visitor exports: pictures, figures, films and tables of one view, and that they agree with its values."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from conftest import ROOT, clip_of, moving_frames, small_net
from PIL import Image

import aia
from aia import AIAError, View
from aia.visualization import render
from aia.visualization.export import FORMATS, export_view
from aia.visualization.figure import SIDE, film, frame_picture, paper_figure, strip_picture, table
from aia.visualization.figure import words as view_words
from aia.visualization.view import limits, values

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def inspection(net, clip):
    return aia.inspect(net, clip)


@pytest.fixture(scope="module")
def plain(clip):
    return aia.inspect(small_net("none"), clip)


def with_label(inspection, label):
    """The inspection of a network whose labels all begin alike."""
    labels = tuple(f"{label}{end}" for end in "abc")
    return dataclasses.replace(inspection, config=dataclasses.replace(inspection.config, labels=labels))


def colors_of(inspection, view):
    """The colour of every value of a view, `[T, h, w, 3]`."""
    low, high = limits(inspection, view)
    levels = np.clip((values(inspection, view) - low) / (high - low), 0, 1) * 255
    return render.colormap_table(view.colours)[levels.round().astype(int)].astype(int)


def test_the_scale_of_a_difference_has_a_minus_and_no_sign_that_the_font_lacks():
    footer = render.with_legend(np.zeros((1, 4, 320, 3), np.uint8), [""], scale=(-0.43, 0.43))[0, 4:]
    low = 320 - 80 - 8  # where the scale's first number begins, below the bar
    ink = (footer[18:, low : low + 4] < 128).any(axis=(1, 2))
    assert 1 <= ink.sum() <= 2, "a dash, and not a box as for a missing sign"


def test_the_scale_of_a_gate_that_is_nothing_everywhere_has_no_signs():
    assert render.scale_numbers((0, 0)) == ("0.00", "0.00", "0.00")


@pytest.mark.parametrize("gate", ["combined", "C", "T", "H", "W"])
@pytest.mark.parametrize("scale", ["absolute", "clip", "block"])
def test_at_full_opacity_every_cell_of_the_picture_has_the_colour_of_its_value(inspection, gate, scale):
    view = View("layer2.0", gate, frame=5, channel=3, scale=scale, colours="magma", opacity=1, cells=True)
    picture = frame_picture(inspection, view).astype(int)
    expected = colors_of(inspection, view)[5]
    height, width = expected.shape[:2]
    assert picture.shape == (480 + render.FOOTER_PX, SIDE, 3)
    for row in range(height):
        for column in range(width):
            place = int((row + 0.5) / height * 480), int((column + 0.5) / width * SIDE)
            assert np.abs(picture[place] - expected[row, column]).max() <= 6, "one step of 256 colours at most"


def test_cells_have_edges_and_smooth_maps_have_none(inspection):
    view = View("layer3.0", opacity=1, scale="block", colours="grey")
    cells, smooth = (
        frame_picture(inspection, dataclasses.replace(view, cells=cells))[:480, :, 0].astype(int)
        for cells in (True, False)
    )
    assert len(np.unique(cells)) <= 9 < len(np.unique(smooth))
    assert np.abs(np.diff(smooth, axis=1)).max() < np.abs(np.diff(cells, axis=1)).max()


def test_opacity_nothing_is_the_frame_with_its_legend(inspection):
    small = aia.inspect(small_net(), clip_of(moving_frames(2, 480, 640)))
    picture = frame_picture(small, View(frame=1, opacity=0))
    assert np.array_equal(picture[:480], small.clip.frames[1]) and len(np.unique(picture[480:])) > 10


def test_pictures_are_the_same_whether_the_frames_were_kept_large_or_scaled_down(net):
    large = aia.inspect(net, clip_of(moving_frames(3, 600, 802)))
    kept = dataclasses.replace(
        large, clip=dataclasses.replace(large.clip, frames=render.shrink(large.clip.frames, SIDE))
    )
    view = View("layer2.0", frame=2)
    assert np.array_equal(frame_picture(large, view), frame_picture(kept, view))
    assert np.array_equal(strip_picture(large, view), strip_picture(kept, view))


def test_the_strip_has_every_frame_with_its_own_map(inspection):
    view = View("layer1.0", opacity=1, cells=True)
    strip = strip_picture(inspection, view).astype(int)
    assert strip.shape[:2] == (180 + 20 + render.FOOTER_PX, 8 * 244)
    for frame, expected in enumerate(colors_of(inspection, view)):
        picture = strip[:180, frame * 244 + 2 :][:, :240]
        height, width = expected.shape[:2]
        rows, columns = ((np.arange(n) + 0.5) / n for n in (height, width))
        shown = picture[(rows * 180).astype(int)][:, (columns * 240).astype(int)]
        assert np.abs(shown - expected).max() <= 6
        assert strip[180:200, frame * 244 :][:, :244].min() < 100, "its time is under it"


@pytest.mark.slow
@pytest.mark.parametrize("size", [(48, 64), (96, 54), (320, 16), (16, 320)])
@pytest.mark.parametrize("count", [1, 3])
def test_pictures_of_any_shape_have_room_for_their_legend(net, size, count):
    inspection = aia.inspect(
        net, clip_of(moving_frames(count, 64, 512)[:, :, :64].repeat(5, 1).repeat(5, 2)[:, : size[0], : size[1]])
    )
    for picture in (frame_picture(inspection, View()), strip_picture(inspection, View())):
        assert picture.dtype == np.uint8 and picture.shape[1] >= 360
        assert max(picture.shape) <= 3 * 244 + SIDE
    assert frame_picture(inspection, View(frame=count - 1)).shape == frame_picture(inspection, View()).shape


@pytest.mark.slow
def test_a_network_without_gates_gives_plain_frames(plain, tmp_path):
    picture = frame_picture(plain, View(frame=2))
    assert picture.shape == (480, SIDE, 3)
    assert np.abs(render.shrink(picture[None], 64)[0].astype(int) - plain.clip.frames[2]).mean() < 10
    assert strip_picture(plain, View()).shape == (200, 8 * 244, 3)
    film(plain, View(), tmp_path / "film.mp4")
    assert aia.read_clip(tmp_path / "film.mp4").frames.shape == (8, 480, SIDE, 3)
    paper_figure(plain, View(), tmp_path / "figure.svg", "svg")
    root = ET.parse(tmp_path / "figure.svg").getroot()
    assert len(list(root.iter(SVG + "image"))) == 8
    assert "mean gate" not in [text.text for text in root.iter(SVG + "text")]


@pytest.mark.slow
def test_the_figures_words_are_text_and_name_all_that_is_seen(inspection, tmp_path):
    view = View("layer2.0", "H", channel=5, scale="block")
    paper_figure(inspection, view, tmp_path / "figure.svg", "svg")
    root = ET.parse(tmp_path / "figure.svg").getroot()
    text_of_figure = "\n".join(text.text or "".join(text.itertext()) for text in root.iter(SVG + "text"))
    low, high = (f"{end:.2f}" for end in limits(inspection, view))
    times = [f"{time:.2f} s" for time in inspection.clip.times]
    answer = f"{inspection.label} ({100 * inspection.probabilities.max():.1f} %)"
    for words in (
        answer,
        inspection.title,
        "layer2.0",
        "gate H",
        "channel 5",
        "scale of this block",
        low,
        high,
        *times,
    ):
        assert words in text_of_figure
    assert len(list(root.iter(SVG + "image"))) == 8 + 1, "every frame, and the colour bar"


@pytest.mark.slow
def test_the_figure_says_that_gates_were_switched_and_that_the_network_is_not_sure(net, clip, tmp_path):
    inspection = aia.inspect(net, clip, switches=[aia.Switch("identity", "layer1.0")])
    inspection = dataclasses.replace(inspection, config=dataclasses.replace(inspection.config, threshold=0.999))
    paper_figure(inspection, View(), tmp_path / "figure.svg", "svg")
    text = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert "gates switched" in text and "not sure; closest: " in text


@pytest.mark.slow
@pytest.mark.parametrize("label", ["$x^{", "a < b & c é", "手" * 199, "W" * 199, "some long words " * 12])
def test_any_label_can_stand_in_a_figure(inspection, label, tmp_path):
    paper_figure(with_label(inspection, label), View(), tmp_path / "figure.svg", "svg")
    root = ET.parse(tmp_path / "figure.svg").getroot()
    text_of_figure = " ".join(text.text or "" for text in root.iter(SVG + "text"))
    assert label.split()[0][:40] in text_of_figure


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "size", "view"),
    [
        (8, (48, 64), View("layer2.0")),
        (16, (96, 54), View("layer3.0", "W", channel=7, scale="block", cells=True)),
        (1, (96, 54), View("layer4.0", "T", scale="clip")),
        (3, (24, 240), View("layer1.0", "C", scale="block")),
    ],
)
def test_a_figure_is_seven_inches_wide_and_nothing_is_cut_off(net, count, size, view, tmp_path):
    inspection = aia.inspect(net, clip_of(moving_frames(count, *size)))
    paper_figure(with_label(inspection, "some long words " * 12), view, tmp_path / "figure.png", "png")
    picture = np.asarray(Image.open(tmp_path / "figure.png").convert("L"))
    assert picture.shape[1] == 1400 and picture.min() < 50
    for edge in (picture[:4], picture[-4:], picture[:, :4], picture[:, -4:]):
        assert edge.min() == 255


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["absolute", "clip", "block"])
def test_a_gate_that_is_one_everywhere_can_be_drawn(net, clip, scale, tmp_path):
    inspection = aia.inspect(net, clip, switches=[aia.Switch("identity")])
    view = View("layer2.0", scale=scale)
    paper_figure(inspection, view, tmp_path / "figure.png", "png")
    assert frame_picture(inspection, view).shape == (480 + render.FOOTER_PX, SIDE, 3)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_the_same_view_gives_the_same_figure_again_and_leaves_matplotlib_as_it_was(inspection, format, tmp_path):
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        paper_figure(inspection, View(), tmp_path / "one", format)
        assert matplotlib.rcParams["font.size"] == 30
    paper_figure(inspection, View(), tmp_path / "two", format)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_an_unknown_kind_of_figure_is_refused(inspection, tmp_path):
    with pytest.raises(AIAError, match="png, svg, pdf"):
        paper_figure(inspection, View(), tmp_path / "figure.eps", "eps")


def test_the_table_has_every_value_of_the_view_at_its_place_and_time(inspection):
    view = View("layer2.0", "H", channel=5)
    shown, rows = values(inspection, view), list(table(inspection, view))
    assert len(rows) == shown.size
    for frame, index, seconds, row, column, value, difference in rows:
        assert difference is None, "this network has no reference"
        assert (index, seconds) == (
            inspection.clip.indices[frame],
            pytest.approx(inspection.clip.times[frame], abs=1e-4),
        )
        assert value == pytest.approx(shown[frame, row, column], abs=1e-6)


VIEW = View("layer2.0", "combined", 3, 5, "block", "cividis", 0.7, True)


@pytest.fixture(scope="module")
def exported(inspection, tmp_path_factory):
    """Every format of one view, in a folder that was not there."""
    folder = tmp_path_factory.mktemp("export") / "new" / "folder"
    return {format: export_view(inspection, VIEW, format, folder) for format in FORMATS}


@pytest.mark.slow
def test_every_export_has_the_name_that_is_promised_and_a_description(exported):
    assert {format: (path.name, path.is_file()) for format, path in exported.items()} == {
        name: (format.file_name, True) for name, format in FORMATS.items()
    }
    assert all(name == format.name and format.description for name, format in FORMATS.items())


@pytest.mark.slow
def test_exported_pictures_are_those_of_the_view(inspection, exported):
    assert np.array_equal(np.asarray(Image.open(exported["frame.png"])), frame_picture(inspection, VIEW))
    assert np.array_equal(np.asarray(Image.open(exported["strip.png"])), strip_picture(inspection, VIEW))
    assert Image.open(exported["figure.png"]).size[0] == 1400
    assert ET.parse(exported["figure.svg"]).getroot().tag == SVG + "svg"
    assert exported["figure.pdf"].read_bytes().startswith(b"%PDF-")


@pytest.mark.slow
def test_the_exported_film_has_every_frame_as_the_picture_shows_it(inspection, exported):
    again = aia.read_clip(exported["film.mp4"])
    assert again.num_frames == 8 and again.duration == pytest.approx(inspection.clip.duration, rel=0.1)
    for frame in range(8):
        picture = frame_picture(inspection, dataclasses.replace(VIEW, frame=frame)).astype(int)
        assert np.abs(again.frames[frame] - picture).mean() < 6


@pytest.mark.slow
def test_exported_numbers_agree_with_each_other(inspection, exported):
    shown = values(inspection, VIEW)
    with exported["values.csv"].open() as lines:
        rows = list(csv.DictReader(lines))
    assert np.allclose(np.array([float(row["value"]) for row in rows]).reshape(shown.shape), shown, atol=1e-6)
    with np.load(exported["gates.npz"]) as arrays:
        gates = {unit: arrays[f"layer2.0/{unit}"][:, 5] for unit in "THW"}
        assert np.allclose((gates["T"] + gates["H"] + gates["W"]) / 3, shown, atol=1e-6)
    with exported["channels.csv"].open() as lines:
        means = {(row["block"], int(row["channel"])): float(row["mean_gate"]) for row in csv.DictReader(lines)}
    assert means["layer2.0", 5] == pytest.approx(shown.mean(), abs=1e-5)


@pytest.mark.slow
def test_the_exported_summary_has_the_view_and_the_page_can_read_it_back(inspection, exported):
    summary = json.loads(exported["inspection.json"].read_text(encoding="utf-8"))
    assert summary["label"] == inspection.label and summary["drawn_block"] == "layer2.0"
    assert View.from_state(summary["view"]) == VIEW


@pytest.mark.slow
def test_without_gates_everything_but_the_values_can_be_exported(plain, tmp_path):
    for format in FORMATS.keys() - {"values.csv"}:
        assert export_view(plain, View(), format, tmp_path).is_file()
    with pytest.raises(AIAError, match="no gates to look at"):
        export_view(plain, View(), "values.csv", tmp_path)
    assert not (tmp_path / FORMATS["values.csv"].file_name).exists()


@pytest.mark.parametrize("format", ["", "frame", "../frame.png", "figure.eps", None, ["frame.png"]])
def test_an_unknown_format_is_refused_and_nothing_is_written(inspection, format, tmp_path):
    with pytest.raises(AIAError, match=r"frame\.png, strip\.png"):
        export_view(inspection, View(), format, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_view_that_is_not_there_writes_nothing(inspection, tmp_path):
    with pytest.raises(AIAError, match="no frame 8"):
        export_view(inspection, View(frame=8), "strip.png", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(inspection, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AIAError, match="give another folder"):
        export_view(inspection, View(), "frame.png", tmp_path / "file" / "folder")


@pytest.mark.slow
def test_the_same_frames_give_the_same_film_whatever_the_memory_held_before(tmp_path):
    program = "; ".join(
        (
            "import sys, numpy as np; from pathlib import Path; from aia.visualization.render import write_mp4",
            "noise = np.random.default_rng(0).integers(0, 255, (8, 30, 40, 3), dtype=np.uint8)",
            "write_mp4(Path(sys.argv[1]), noise.repeat(8, 1).repeat(8, 2), 2.5)",
        )
    )
    films = []
    for filled_with in ("7", "200"):  # what glibc puts into memory that is given back
        film = tmp_path / f"{filled_with}.mp4"
        environment = {**os.environ, "MALLOC_PERTURB_": filled_with}
        subprocess.run([sys.executable, "-c", program, str(film)], cwd=ROOT, env=environment, check=True)
        films.append(film.read_bytes())
    assert films[0] == films[1]


def test_a_gate_with_one_value_for_all_channels_is_not_called_a_mean(inspection):
    said = {gate: view_words(inspection, View("layer2.0", gate)).channel for gate in ("C", "T", "combined")}
    assert said == {"C": "the same for all channels", "T": "mean over channels", "combined": "mean over channels"}
    assert view_words(inspection, View("layer2.0", "H", channel=3)).channel == "channel 3"
    assert view_words(inspection, View("layer2.0", "H", scale=(0.25, 1))).scale == "scale 0.25 to 1"
