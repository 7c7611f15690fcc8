"""`aia report`: its files, and that nothing in a survey becomes markup, a formula or a folder of this machine."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import made_survey
import numpy as np
import pandas
import pytest
from conftest import ODD_LABELS
from PIL import Image

from aia import AIAError, cli
from aia.locations import ASSETS
from aia.surveys.report import report
from aia.surveys.schema import About

FIGURES = {"blocks.png", "channels.png", "classes.png", "profiles.png", "right-and-wrong.png"}
TABLES = {f"{name}.csv" for name in ("accuracy", "ablations", "channels", "profiles", "right-and-wrong", "ends")}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """The report of a survey with odd labels, in the folder that the command chooses by default."""
    folder = tmp_path_factory.mktemp("survey")
    made_survey.write(folder, made_survey.made_rows(60, ODD_LABELS), made_survey.about(ODD_LABELS))
    assert cli.main(["report", str(folder), "--title", "Odd <b>labels</b>"]) == 0
    return folder / "_report"


@pytest.mark.slow
def test_the_report_has_every_file_and_its_figures_show_something(odd):
    assert {path.name for path in odd.iterdir()} == {"report.md", "report.html", "summary.json", *FIGURES, *TABLES}
    for name in FIGURES:
        pixels = np.asarray(Image.open(odd / name).convert("L"))
        assert pixels.shape[1] > 500 and pixels.std() > 10, name


@pytest.mark.slow
def test_pandas_reads_a_survey_that_has_its_report(odd):
    assert len(pandas.read_parquet(odd.parent, columns=["path"])) == 60


@pytest.mark.long
def test_clips_are_found_wherever_the_data_were(tmp_path, monkeypatch):
    names = sorted(path.name for path in (ASSETS / "examples").glob("s*.mp4"))
    rows = made_survey.made_rows(len(names), names=names)
    monkeypatch.chdir(ASSETS / "examples")
    made = {
        "here": made_survey.about(data="."),
        "root": replace(made_survey.about(data="nowhere/clips.csv"), root=str(ASSETS / "examples")),
        "nowhere": made_survey.about(data="/"),
    }
    for name, about in made.items():
        survey = made_survey.write(tmp_path / name, rows, about)
        written = [path.name for path in report(str(survey))]
        assert ("locations.json" in written) == (name != "nowhere"), name
    known = made["root"].metadata()
    del known[b"aia.root"]  # as in older surveys, which have no split and no column of groups either
    assert b"aia.split" not in known
    assert About.from_metadata(known) == replace(made["root"], root="")


@pytest.mark.slow
def test_tables_hold_the_numbers_for_programs(odd):
    with (odd / "ablations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    change = next(row for row in rows if row["block"] == "layer2.0" and row["measure"] == "change" and not row["class"])
    assert float(change["value"]) == pytest.approx(1 / 3 - 0.9, abs=1e-5)
    assert float(change["low"]) < float(change["value"]) < float(change["high"])
    cells = [cell for name in TABLES for line in csv.reader((odd / name).open(newline="")) for cell in line]
    assert not [cell for cell in cells if re.match(r"[=@+]|-\D", cell)], "a spreadsheet would run =HYPERLINK"


def test_odd_labels_are_text_in_markdown_and_html(odd):
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, dict(attributes)))

        def handle_data(self, data):
            found.append(data)

    html = (odd / "report.html").read_text(encoding="utf-8")
    Reader().feed(html)
    tags = [one for one in found if isinstance(one, tuple)]
    assert (
        not {tag for tag, _ in tags} & {"b", "script", "a", "iframe"}
        and len([1 for tag, _ in tags if tag == "img"]) == 5
    )
    assert all(own["src"].startswith("data:image/png;base64,") for tag, own in tags if tag == "img")
    assert ODD_LABELS[0] in found and "Survey: Odd <b>labels</b>" in found
    markdown = (odd / "report.md").read_text(encoding="utf-8")
    assert "\\<img src=x" in markdown and "<img" not in markdown.replace("\\<img", "")
    rows = [line for line in markdown.splitlines() if line.startswith("| layer2.0 | 3 |")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 8, "no label adds a column"


@pytest.mark.slow
def test_the_pages_file_knows_our_examples_and_names_no_folder(tmp_path, capsys):
    clips = sorted((ASSETS / "examples").glob("s*.mp4"))
    rows = made_survey.made_rows(len(clips), names=[str(clip) for clip in clips])
    survey = made_survey.write(tmp_path / "survey", rows, made_survey.about(data=str(clips[0].parent / "*.mp4")))
    assert cli.main(["report", str(survey), "--summary", str(tmp_path / "own.json")]) == 0
    text = (tmp_path / "own.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert sorted(content["examples"].values()) == [clip.stem for clip in clips]
    for number, example in content["examples"].items():
        assert content["clips"][int(number)] == f"examples/{example}.mp4"
    assert str(ASSETS.parent) not in text
    assert cli.main(["report", str(survey), "--out", str(tmp_path / "report")]) == 0
    locations = json.loads((tmp_path / "report" / "locations.json").read_text())
    assert sorted(locations) == [str(clip) for clip in clips]


def test_the_pages_file_names_no_host_user_or_password_and_no_folder_of_a_model(tmp_path):
    secret = "https://me:pass@host.example/private/data"
    names = [f"{secret}/left/{i}.mp4?token=pass" for i in range(10)] + [f"C:\\private\\{i}\\a.mp4" for i in range(10)]
    names += [f"/private/{'long' * 60}/{i}.mp4" for i in range(10)]
    (tmp_path / "private" / "net").mkdir(parents=True)
    about = made_survey.about(model=str(tmp_path / "private" / "net"), data=f"{secret}.csv?token=pass")
    survey = made_survey.write(tmp_path / "survey", made_survey.made_rows(30, names=names), about)
    assert cli.main(["report", str(survey), "--summary", str(tmp_path / "own.json")]) == 0
    text = (tmp_path / "own.json").read_text(encoding="utf-8")
    content = json.loads(text)
    assert content["model"]["name"] == "net" and content["title"] == "data.csv"
    assert not re.search(r"private|pass|host\.example|C:", text)
    assert {name.split("/")[0][-4:] for name in content["clips"]} <= {"left", "long", *map(str, range(10))}


@pytest.mark.slow
def test_a_report_leaves_nothing_of_an_earlier_one(tmp_path):
    survey, target = tmp_path / "survey", tmp_path / "report"
    made_survey.write(survey, made_survey.made_rows(30))
    report(str(survey), target)
    for name in ("locations.json", "my notes.txt"):
        (target / name).write_text("[]")
    unlabelled = [row | {"label": None, "ablations": None} for row in made_survey.made_rows(30)]
    written = report(str(made_survey.write(survey, unlabelled)), target)
    assert {path.name for path in target.iterdir()} == {"my notes.txt", *(path.name for path in written)}
    assert not (target / "blocks.png").exists()


@pytest.mark.slow
def test_the_report_names_the_clips_of_each_split(tmp_path):
    rows = [row | {"split": ("test", "train", None)[i // 2 % 3]} for i, row in enumerate(made_survey.made_rows(30))]
    for name, made, words in (
        ("several", rows, "Clips of each split: 10 without one, 10 test, 10 train."),
        ("one", [row | {"split": "train"} for row in rows], "Clips of each split: 30 train."),
        ("none", made_survey.made_rows(30), ""),
    ):
        report(str(made_survey.write(tmp_path / name, made)))
        text = (tmp_path / name / "_report" / "report.md").read_text(encoding="utf-8")
        assert words in text and ("of each split" in text) == bool(words)


@pytest.mark.slow
def test_the_report_says_which_class_has_too_few_groups(tmp_path):
    enough = made_survey.made_rows(90, groups=30)
    few = [row | {"group": f"{i % 4}"} if row["label"] == "still" else row for i, row in enumerate(enough)]
    for name, rows, words in (
        ("enough", enough, []),
        ("few", few, ["a class with fewer than 10 groups are too narrow; still has the fewest, 4."]),
        ("fewer", made_survey.made_rows(90, groups=5), ["There are only 5 groups: the intervals are too narrow."]),
    ):
        report(str(made_survey.write(tmp_path / name, rows)))
        text = (tmp_path / name / "_report" / "report.md").read_text(encoding="utf-8")
        assert [line for line in text.splitlines() if "too narrow" in line and not line.endswith(*words or [""])] == []
        assert ("too narrow" in text) == bool(words)


@pytest.mark.slow
def test_a_class_that_is_all_right_has_no_interval(odd):
    with (odd / "ablations.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["block"] == "layer1.0" and row["measure"] == "change"]
    assert rows and {(row["value"], row["low"], row["high"]) for row in rows} == {("0.0", "", "")}
    line = next(line for line in (odd / "report.md").read_text("utf-8").splitlines() if line.startswith("| layer1.0 |"))
    assert line == "| layer1.0 | +0.0 | +0.0 | +0.0 |"


def test_options_that_do_not_fit_are_one_sentence(tmp_path, capsys):
    survey = str(made_survey.write(tmp_path / "survey", made_survey.made_rows(3)))
    for options, words in (
        (["--seed", "-1"], "A seed is a whole number from 0 to 4294967295, not -1."),
        (["--seed", str(2**32), "--summary", str(tmp_path / "own.json")], "A seed is a whole number"),
        (["--summary", str(tmp_path / "own.json"), "--out", str(tmp_path / "out")], "give one of them"),
    ):
        assert cli.main(["report", survey, *options]) == 1
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["survey"]


@pytest.mark.slow
def test_what_is_no_survey_is_one_sentence(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 1
    assert "holds no survey" in capsys.readouterr().err
    with pytest.raises(AIAError, match="give one with --out"):
        report("memory://somewhere")
