"""What an object says of itself in a terminal, a notebook and a figure, and a toy export format."""

import dataclasses
import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ODD_LABELS, ROOT, clip_of, moving_frames, others_long, small_net

import aia
from aia.cli import main
from aia.evaluation.evaluate import read_results
from aia.hub.groups import ASKED
from aia.inspection.batch import classify
from aia.inspection.trace import trace_block
from aia.modeling import recording
from aia.synthetic.gestures import render_gesture
from aia.synthetic.out_of_distribution import unknown_clips
from aia.visualization import export
from aia.visualization.view import values

EXAMPLE = ROOT / "assets" / "examples" / "circle.mp4"


@pytest.fixture(scope="module")
def shipped():
    return aia.load("tsm-mobilenetv2-cinst", device="cpu")


@pytest.fixture(scope="module")
def inspection(shipped):
    return aia.inspect(shipped, EXAMPLE)


def objects(net, clip, video) -> list[object]:
    """One of every public class, as large as its parts may be."""
    inspection = aia.inspect(net, clip, switches=[aia.Switch("mean", "layer1.0")], features=True)
    ranking, trace = aia.rank_blocks(net, clip), trace_block(net, clip, "layer1.0")
    many = aia.AIAConfig(tuple(f"label {number} {'x' * 180}" for number in range(5000)))
    with recording.recording(features=True) as recorded:
        aia.inspect(net, clip)
    return [
        *(inspection, *inspection.blocks, inspection.blocks[0].highlights, *inspection.switches),
        *(clip, aia.View("layer1.0", "H", 3, 5, (0.25, 0.75)), net, net.config, many, recorded),
        *(ranking, *ranking.effects, trace, *trace.units.values(), *classify(net, [video])),
        *export.FORMATS.values(),
    ]


@pytest.mark.slow
def test_the_repr_of_every_public_object_is_one_short_line_that_names_its_class(net, clip, video):
    classes = set()
    for thing in objects(net, clip, video):
        text = repr(thing)
        assert len(text) < 250 and "\n" not in text and text.startswith(f"{type(thing).__name__}("), text
        classes.add(type(thing).__name__)
    public = {"AIAConfig", "AIANet", "Clip", "Inspection", "Switch", "View"}
    assert classes >= {*public, "BlockEffect", "BlockGates", "BlockTrace", "Classified", "Ranking", "UnitTrace"}


@pytest.mark.slow
def test_the_repr_of_drawn_clips_and_of_results_leaves_the_arrays_out(shipped):
    runs = [*read_results().values()]
    for thing in (*runs, *runs[0].splits.values(), render_gesture("swipe left", 0), *unknown_clips(shipped.config, 4)):
        text = repr(thing)
        assert len(text) < 250 and "\n" not in text and "array(" not in text, text


def test_a_long_label_or_name_keeps_the_repr_short(net, clip):
    long = dataclasses.replace(net.config, labels=tuple(f"{number}" + "x" * 190 for number in range(3)))
    inspection = dataclasses.replace(aia.inspect(net, clip), config=long, model="m" * 10_000)
    assert len(repr(inspection)) < 300


def test_print_shows_the_modules_of_a_network(net):
    assert "(backbone): ResNet(" in str(net) and repr(net).count("\n") == 0


@pytest.mark.slow
def test_a_path_is_inspected_as_the_clip_that_it_holds(net):
    clip = aia.read_clip(EXAMPLE, net.config.num_segments)
    for path in (EXAMPLE, str(EXAMPLE)):
        assert np.array_equal(aia.inspect(net, path).logits, aia.inspect(net, clip).logits)
    assert np.array_equal(aia.rank_blocks(net, str(EXAMPLE)).logits, aia.rank_blocks(net, clip).logits)
    assert trace_block(net, EXAMPLE, net.block_names[0]).frames.shape[0] == len(clip.frames)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5, 12])
def test_a_path_is_read_into_as_many_frames_as_the_model_has_segments(count, video):
    net = small_net()
    net.config = dataclasses.replace(net.config, num_segments=count)
    assert len(aia.inspect(net, video).clip.frames) == count


def test_a_path_that_is_no_video_is_one_sentence(net, not_a_video, tmp_path):
    for path in (not_a_video, tmp_path / "gone.mp4", tmp_path):
        with pytest.raises(aia.AIAError, match=path.name):
            aia.inspect(net, path)


@pytest.mark.slow
@pytest.mark.parametrize("name", others_long(aia.available_models(), *ASKED.values()))
def test_a_notebook_shows_the_label_the_film_strip_and_the_first_blocks_map(name):
    inspection = aia.inspect(aia.load(name, device="cpu"), EXAMPLE)
    html = inspection._repr_html_()
    assert inspection.label in html and inspection.title in html
    assert len(re.findall(r'<img src="data:image/jpeg;base64,', html)) == (2 if inspection.blocks else 1)
    assert (f"gate of {inspection.first_block}" in html) == bool(inspection.blocks)
    assert len(html) < 300_000


@pytest.mark.parametrize("label", [*ODD_LABELS, 'a" onload="alert(1)', "x & <b>y</b>"])
def test_a_notebook_shows_odd_labels_and_names_as_text(net, clip, label):
    config = dataclasses.replace(net.config, labels=(label, "b", "c"))
    inspection = dataclasses.replace(
        aia.inspect(net, clip), config=config, model=label, probabilities=np.array([1, 0, 0], np.float32)
    )
    tags = re.findall(r"<[^>]*>", inspection._repr_html_())
    assert {tag.split()[0].strip("<>/") for tag in tags} == {"div", "b", "br", "img"}
    assert all(re.fullmatch(r'<img src="[^"]*" alt="[^"]*" style="[^"]*">', tag) for tag in tags if tag[:4] == "<img")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 13, 64])
def test_a_notebook_shows_clips_of_any_length_and_shape(net, count):
    for size in ((48, 64), (320, 16)):
        assert len(aia.inspect(net, clip_of(moving_frames(count, *size)))._repr_html_()) < 300_000


@pytest.mark.long
def test_a_plot_is_a_figure_of_the_view_and_leaves_pyplot_alone():
    program = f"""
import sys, aia
inspection = aia.inspect(aia.load("tsm-mobilenetv2-cinst", device="cpu"), {str(EXAMPLE)!r})
repr(inspection), inspection._repr_html_()
assert "matplotlib" not in sys.modules
figure = inspection.plot(block="features.12", gate="T", scale="block")
assert "matplotlib.pyplot" not in sys.modules
from matplotlib.figure import Figure
assert type(figure) is Figure
print(*(text.get_text() for text in figure.texts), sep="\\n")
print(len(figure.axes))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "features.12 · gate T · mean over channels · scale of this block" in done.stdout
    assert done.stdout.splitlines()[-1] == str(8 + 2), "the frames, the line and the color bar"


@pytest.mark.slow
def test_a_plot_shows_what_the_exported_figure_shows(inspection, tmp_path):
    view = aia.View("features.12", "H", scale="clip")
    inspection.plot(view).savefig(tmp_path / "plot.png", dpi=200)
    other = inspection.plot(view, channel=5)
    file = export.export_view(inspection, view, "figure.png", tmp_path)
    from PIL import Image

    plotted, exported = (
        np.asarray(Image.open(path).convert("L")).astype(int) for path in (tmp_path / "plot.png", file)
    )
    assert plotted.shape == exported.shape and np.abs(plotted - exported).mean() < 1
    assert "channel 5" in "".join(text.get_text() for text in other.texts)


def test_a_plot_of_what_is_not_there_is_one_sentence(inspection):
    with pytest.raises(aia.AIAError, match=r"no gates at 'features\.99'"):
        inspection.plot(block="features.99")
    with pytest.raises(aia.AIAError, match="opacity"):
        inspection.plot(opacity=3)


@pytest.mark.slow
def test_old_names_warn_and_give_the_same(net, clip):
    inspection, effect = aia.inspect(net, clip), aia.rank_blocks(net, clip).effects[0]
    for thing, old, new in (
        (inspection, "sure", "is_confident"),
        (inspection, "liveliest_block", "most_dynamic_block"),
        (effect, "change", "logit_delta"),
        (effect, "answer", "label"),
    ):
        with pytest.warns(DeprecationWarning, match=new):
            assert getattr(thing, old) == getattr(thing, new)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("aia.inspection", "Answer", "aia.inspection.inspection.Prediction"),
        ("aia.inspection", "BlockGates", "aia.inspection.gates.BlockGates"),
        ("aia.inspection", "inspect", "aia.inspection.inspection.inspect"),
        ("aia.render", "colour_table", "aia.visualization.render.colormap_table"),
        ("aia.lesson", "Lesson", "aia.inspection.trace.BlockTrace"),
        ("aia.lesson", "lesson", "aia.inspection.trace.trace_block"),
        ("aia.lesson", "lesson_view", "aia.visualization.trace_view.trace_view"),
    ],
)
def test_old_names_of_modules_warn_and_give_the_new_ones(module, old, new):
    with pytest.warns(DeprecationWarning, match=re.escape(new)):
        given = getattr(importlib.import_module(module), old)
    place, name = new.rsplit(".", 1)
    assert given is getattr(importlib.import_module(place), name)
    with pytest.raises(AttributeError, match="nothing_like_that"):
        assert importlib.import_module("aia.inspection").nothing_like_that


# ---------------------------------------------------------------- docs/how-to/add-an-export-format.md


def write_profile(inspection: aia.Inspection, view: aia.View, path: Path) -> None:
    means = values(inspection, view).mean(axis=(1, 2))
    path.write_text("\n".join(f"{mean:.4f}" for mean in means) + "\n", encoding="utf-8")


PROFILE = export.ExportFormat("profile.txt", "The mean gate of each frame, one a line", write_profile)


@pytest.mark.slow
def test_a_format_that_is_added_to_the_registry_is_in_the_library_and_the_command_line(
    shipped, inspection, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(export.FORMATS, PROFILE.name, PROFILE)
    view = aia.View("features.12", "T")
    expected = [f"{mean:.4f}" for mean in values(inspection, view).mean(axis=(1, 2))]

    [file] = aia.save(inspection, tmp_path / "a", view=view, formats=["profile.txt"])
    assert file == tmp_path / "a" / "aia-profile.txt" and file.read_text().split() == expected
    assert export.export_view(inspection, view, "profile.txt", tmp_path / "b").read_text().split() == expected

    with pytest.raises(SystemExit) as ended:
        main(["inspect", "--list-formats"])
    assert not ended.value.code and PROFILE.description in capsys.readouterr().out
    out = tmp_path / "c"
    arguments = ["--out", str(out), "--block", "features.12", "--format", "profile.txt", "--format", "frame.png"]
    assert main(["inspect", str(EXAMPLE), *arguments]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["aia-frame.png", "aia-profile.txt"]


@pytest.mark.slow
def test_an_unknown_format_is_one_sentence_and_writes_nothing(inspection, tmp_path, capsys):
    with pytest.raises(aia.AIAError, match=r"frame\.png, strip\.png"):
        aia.save(inspection, tmp_path / "new", formats=["frame.png", "figure.eps"])
    assert main(["inspect", str(EXAMPLE), "--out", str(tmp_path / "new"), "--format", "toy"]) == 1
    assert "choose one of them" in capsys.readouterr().err and not (tmp_path / "new").exists()
