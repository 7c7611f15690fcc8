"""Tables and lists of labels as spreadsheets and other data sets write them."""

import json
import os

import pytest
import torch
from conftest import moving_frames

from aia import AIAError
from aia.cli import main
from aia.datasets.listing import list_clips
from aia.text_files import read_labels
from aia.training.data import check_holdout, class_order, clip_names, groups_of, is_held_out, read_manifest
from aia.training.recipe import Recipe
from aia.visualization.render import write_mp4

NAMES = ("star.mp4", "sub/ring.mp4", "Übung é.mp4")
ROWS = [("star.mp4", "star", "train"), ("sub/ring.mp4", "ring", "test"), ("Übung é.mp4", "Übung", "val")]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in NAMES:
        (tmp_path / name).touch()
    return tmp_path


def samples(folder, content: bytes | str, name="clips.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(s.file.relative_to(folder).as_posix(), s.kind, s.split) for s in read_manifest(folder)]


def table(separator=",", end="\r\n", header="file,label,split", rows=ROWS) -> str:
    return "".join(line + end for line in (header.replace(",", separator), *map(separator.join, rows)))


SPELLINGS = {
    "plain": table(end="\n").encode(),
    "Excel, UTF-8": table().encode("utf-8-sig"),
    "Excel, semicolons": table(";").encode("cp1252"),
    "Excel, Unicode text": table("\t").encode("utf-16"),
    "UTF-16, most significant byte first": b"\xfe\xff" + table(";").encode("utf-16-be"),
    "UTF-16 without a mark": table().encode("utf-16-le"),
    "UTF-16 without a mark, the other way": table().encode("utf-16-be"),
    "bars": table("|").encode(),
    "sep line": ("sep=;\r\n" + table(";")).encode("utf-8-sig"),
    "old Mac": table(end="\r").encode(),
    "Windows twice": table(end="\r\r\n").encode(),
    "no last line end": table().strip().encode(),
    "capitals and space": table(header=" File , LABEL,Split ").encode(),
    "space around values": table(", ").encode(),
    "quotes": table('";"', '"\n"')[:-1].replace("file", '"file', 1).encode(),
    "empty rows": table().replace("\r\n", "\r\n\r\n,,\r\n").encode(),
    "empty columns": table(rows=[(*row, "", "") for row in ROWS], header="file,label,split,,").encode(),
    "empty cells behind": table(rows=[(*row, "", "") for row in ROWS]).encode(),
    "other columns, another order": table(
        header="note,split,file,scene,label,note", rows=[("a", s, f, "", k, "b") for f, k, s in ROWS]
    ).encode(),
    "backslashes": table(rows=[(f.replace("/", "\\"), k, s) for f, k, s in ROWS]).encode(),
    "other words for splits": table(
        rows=[(f, k, {"train": "Training", "test": "TESTING", "val": "valid"}[s]) for f, k, s in ROWS]
    ).encode(),
    "accents of two letters": table().replace("é", "e\u0301").replace("Übung é", "U\u0308bung é").encode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_table_of_any_spreadsheet_is_read(spelling, folder):
    assert samples(folder, SPELLINGS[spelling]) == ROWS


def test_whole_paths_and_other_endings_are_taken(folder):
    rows = [(str(folder / name), *rest) for name, *rest in ROWS]
    assert samples(folder, table(rows=rows), "CLIPS.CSV") == ROWS
    (folder / "CLIPS.CSV").rename(folder / "clips.tsv")
    for beside in ("~$clips.csv", "._clips.csv", ".~lock.clips.csv"):
        (folder / beside).touch()
    assert samples(folder, table("\t", rows=rows), "clips.tsv") == ROWS


def test_quotes_hold_separators_quotes_and_lines(folder):
    content = 'file;label;split\n"star.mp4";"a; ""b""\nc";train\n'
    assert samples(folder, content) == [("star.mp4", 'a; "b"\nc', "train")]


REFUSED = {
    "no header": ("star.mp4,star,train\n", ["columns file, label and split", "'star.mp4,star,train'"]),
    "a column is missing": ("\n\nfile;label\nstar.mp4;star\n", ["columns", "'file;label'"]),
    "nothing": ("", ["columns"]),
    "a column twice": ("file,label,split,Label\nstar.mp4,a,train,b\n", ["label twice"]),
    "a lost file": ("file,label,split\nstar.mp4,a,train\nC:\\clips\\gone.mp4,a,train\n", ["Line 3", "gone.mp4"]),
    "a folder": ("file,label,split\nsub,a,train\n", ["Line 2", "'sub', which is a folder"]),
    "no file": ("file,label,split\n\n,a,train\n", ["Line 3", "names no file"]),
    "a name that is too long": (f"file,label,split\n{'x' * 5000},a,train\n", ["Line 2"]),
    "a separator in a value": ("file,label,split\nstar.mp4,a, b,train\n", ["Line 2", "quotes", "','"]),
    "an open quote": ('file,label,split\nstar.mp4,"a,train\nstar.mp4,b,train\n', ["Line 3", "quotes"]),
    "an odd quote": ('file,label,split\nstar.mp4,"a"b,train\n', ["Line 2", "quotes"]),
    "a spreadsheet's own file": (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0" * 9, ["Excel workbook", "CSV"]),
    "another encoding": (table().encode() + b"a.mp4,\x81,train\n", ["line 5", "UTF-8"]),
    "a header only": ("file,label,split\n\n", ["has no row"]),
    "another separator in rows": ("file;label;split\nstar.mp4,a,train\n", ["Line 2", "','", "';'"]),
    "another separator in the header": ("file,label,split\nstar.mp4;a;train\n", ["Line 2", "','", "';'"]),
    "no label at all": ("file,label,split\nstar.mp4,,train\n", ["no clip with a label"]),
    "a clip with two labels": (table() + "star.mp4,ring,train\n", ["Line 5", "'star.mp4' again"]),
    "a clip in two splits": (table() + "star.mp4,star,val\n", ["Line 5", "again"]),
    "a zero byte": (table().replace("star.mp4", "st\0ar.mp4"), ["line 2", r"control character '\x00'"]),
    "half a letter of UTF-16": (table().encode("utf-16")[:-1], ["not readable text"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_stays_unreadable_gives_one_sentence_with_the_line(case, folder):
    content, named = REFUSED[case]
    with pytest.raises(AIAError) as caught:
        samples(folder, content)
    said = str(caught.value)
    assert all(part in said for part in ("clips.csv", *named)) and "\n" not in said and len(said) < 500, said


@pytest.mark.parametrize("form", ["{}", "file://{}"])
@pytest.mark.parametrize(
    "case",
    [
        "a spreadsheet's own file",
        "a header only",
        "another separator in rows",
        "another separator in the header",
        "no label at all",
        "a clip with two labels",
        "a clip in two splits",
    ],
)
def test_a_table_given_by_itself_is_refused_in_a_sentence_too(case, form, folder):
    content, named = REFUSED[case]
    (folder / "clips.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AIAError) as caught:
        read_manifest(form.format(folder / "clips.csv"))
    said = str(caught.value)
    assert all(part in said for part in ("clips.csv", *named)) and "\n" not in said and len(said) < 500, said


def test_a_name_that_is_too_long_is_not_there_at_an_address_either(folder):
    (folder / "clips.csv").write_text(REFUSED["a name that is too long"][0])
    with pytest.raises(AIAError, match="which is not there"):
        read_manifest(f"file://{folder}/clips.csv")


def test_a_folder_named_in_a_table_is_called_so_at_an_address_too(folder):
    (folder / "clips.csv").write_text(REFUSED["a folder"][0])
    with pytest.raises(AIAError, match="'sub', which is a folder"):
        read_manifest(f"file://{folder}/clips.csv")


def test_a_table_may_name_addresses(folder):
    (folder / "star.mp4").write_bytes(b"star")
    (folder / "clips.csv").write_text(f"file,label,split\nfile://{folder}/star.mp4,star,train\nsub/ring.mp4,ring,val\n")
    far, near = read_manifest(folder)
    assert [(s.video.name, s.kind, s.split) for s in (far, near)] == [
        ("star.mp4", "star", "train"),
        ("ring.mp4", "ring", "val"),
    ]
    with far.local() as file:
        assert file.read_bytes() == b"star"
    assert near.item is None


@pytest.mark.parametrize("form", ["{}", "{}/clips.csv", "file://{}/clips.csv"])
def test_clips_alike_are_named_in_the_column_scene_or_group(form, folder):
    rows = [
        (*row, scene, group) for row, (scene, group) in zip(ROWS, [("", "a"), ("hall", "a"), ("", "")], strict=True)
    ]
    (folder / "clips.csv").write_text(table(header="file,label,split,scene,group", rows=rows), encoding="utf-8")
    found = read_manifest(form.format(folder))
    assert [sample.scene for sample in found] == ["a", "hall", ""]
    assert groups_of(found)[:2] == ("a", "hall"), "what studies draw their intervals over"
    assert is_held_out(found[0], Recipe(NETWORK, holdout=["a"]))
    (folder / "clips.csv").write_text(
        table(header="file,label,split,group", rows=[(*row, "a") for row in ROWS]), encoding="utf-8"
    )
    assert groups_of(read_manifest(form.format(folder))) == ("a", "a", "a")


def test_a_row_that_is_there_twice_counts_once(folder):
    assert samples(folder, table() + "star.mp4,star,train\n") == ROWS


def test_a_row_may_be_a_file_with_a_separator_in_its_name_alone(folder):
    (folder / "clips.csv").write_text('file,label\n"a,b.mp4"\n')
    assert [(item.path, item.label) for item in list_clips(folder)] == [("a,b.mp4", None)]


def test_two_byte_order_marks_are_read_over(folder):
    assert samples(folder, b"\xef\xbb\xbf" + table().encode("utf-8-sig")) == ROWS


def test_rows_that_are_not_trained_on_are_told(folder, caplog):
    others = [("a.mp4", "star", "fold 3"), ("b.mp4", "", "train"), ("c.mp4", "star", "exclude"), ("d.mp4", "star", "")]
    for name, *_ in others:
        (folder / name).touch()
    found = samples(folder, table(rows=[*ROWS, *others]))
    assert len(found) == 6
    told = [record.message for record in caplog.records]
    assert len(told) == 3
    assert "'fold 3'" in told[0] and "line 5, 1 in all" in told[0]
    assert "without a label" in told[1] and "line 6" in told[1]
    assert "''" in told[2] and "line 8" in told[2]


NETWORK = {
    "arch": "resnet18",
    "temporal": "tsn",
    "attention": "c",
    "num_segments": 2,
    "input_size": 32,
    "resize": [32, 32],
}


@pytest.mark.slow
def test_training_and_evaluation_take_such_a_table(tmp_path, capsys):
    torch.manual_seed(0)
    for i in range(6):
        write_mp4(tmp_path / f"größe {i}.mp4", moving_frames(6, 40, 56, seed=i), 10)
    rows = [(f"größe {i}.mp4", "ab"[i % 2], "Train" if i < 4 else "Val") for i in range(6)]
    (tmp_path / "clips.csv").write_bytes(table(";", rows=rows).encode("utf-16"))
    (tmp_path / "labels.txt").write_bytes("1 b\r\n2 a\r\n".encode("utf-16"))
    recipe = {
        "network": NETWORK,
        "epochs": 1,
        "batch_size": 4,
        "precision": "float32",
        "synthetic_per_epoch": 0,
        "rendered_pool": 0,
    }
    (tmp_path / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8-sig")
    out = tmp_path / "out"
    data = ["--data", str(tmp_path)]
    assert main(["train", str(tmp_path / "recipe.json"), *data, "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), *data]) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 2

    (tmp_path / "clips.csv").write_bytes(table(";", rows=[(f, k, "foo") for f, k, _ in rows]).encode())
    assert main(["train", str(tmp_path / "recipe.json"), *data, "--out", str(tmp_path / "other")]) == 1
    assert "'foo'" in capsys.readouterr().err


# ---------------------------------------------------------------- labels

WANTED = ("ApplyEyeMakeup", "Archery", "Baby crawling")
LISTS = {
    "one a line": "ApplyEyeMakeup\nArchery\nBaby crawling\n",
    "UCF101": "1 ApplyEyeMakeup\r\n2 Archery\r\n3 Baby crawling\r\n",
    "from 0": "0 ApplyEyeMakeup\n1 Archery\n2 Baby crawling",
    "EGTEA": "ApplyEyeMakeup 1\nArchery 2\nBaby crawling 3\n",
    "another order": "2 Baby crawling\n0 ApplyEyeMakeup\n1 Archery\n",
    "points": "1. ApplyEyeMakeup\n2. Archery\n3. Baby crawling\n",
    "colons": "0: ApplyEyeMakeup\n1: Archery\n2: Baby crawling\n",
    "columns": "id,name\n0,ApplyEyeMakeup\n1,Archery\n2,Baby crawling\n",
    "columns, the other way": "label;index\nApplyEyeMakeup;0\nArchery;1\nBaby crawling;2\n",
    "columns as pandas users call them": "label_idx,label_name\n0,ApplyEyeMakeup\n1,Archery\n2,Baby crawling\n",
    "dashes": "0 - ApplyEyeMakeup\n1 - Archery\n2 - Baby crawling\n",
    "dashes, the other way": "ApplyEyeMakeup - 1\nArchery - 2\nBaby crawling - 3\n",
    "brackets": "0) ApplyEyeMakeup\n1) Archery\n2) Baby crawling\n",
    "bars": "0|ApplyEyeMakeup\n1|Archery\n2|Baby crawling\n",
    "equal signs": "0 = ApplyEyeMakeup\n1 = Archery\n2 = Baby crawling\n",
    "tabs": "0\tApplyEyeMakeup\n1\tArchery\n2\tBaby crawling\n",
    "Something-Something": '{"ApplyEyeMakeup": "0", "Baby crawling": "2", "Archery": "1"}',
    "ImageNet": '{"0": "ApplyEyeMakeup", "1": "Archery", "2": "Baby crawling"}',
    "numbers": '{"ApplyEyeMakeup": 1, "Archery": 2, "Baby crawling": 3}',
    "quotes": '"ApplyEyeMakeup"\n"Archery"\n"Baby crawling"\n',
    "quoted columns": '"2","Archery"\n"1","ApplyEyeMakeup"\n"3","Baby crawling"\n',
    "list": '["ApplyEyeMakeup", "Archery", "Baby crawling"]',
}


@pytest.mark.parametrize("form", LISTS)
def test_labels_are_read_as_data_sets_list_them(form, tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        (tmp_path / "labels.txt").write_bytes(LISTS[form].encode(encoding))
        assert read_labels(tmp_path / "labels.txt") == WANTED


@pytest.mark.parametrize(
    "labels",
    [
        ("class 0", "class 1", "class 2"),
        ("1 finger", "3 fingers", "4 fists"),
        ("1 finger", "2 fingers", "3 fingers"),
        ("1 thing", "2 thing", "3 thing"),
        ("2001 odyssey", "12 monkeys"),
        ("[Something] falls", "[Something] stays"),
        ("1 apple",),
        ("1-hand", "2-hand grip"),
        ("Größe", "naïve", "crème, brûlée"),
        ('say "hi"', '"hi" there', "it's"),
    ],
)
def test_labels_with_numbers_of_their_own_stay_as_they_are(labels, tmp_path):
    for encoding in ("utf-8", "cp1252", "utf-16"):
        (tmp_path / "labels.txt").write_bytes("\n".join(labels).encode(encoding))
        assert read_labels(tmp_path / "labels.txt") == labels


@pytest.mark.parametrize("letters", ["abc", "жук", "δύο", "走路"])
def test_utf_16_without_a_mark_is_known_in_any_alphabet(letters, tmp_path):
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "labels.txt").write_bytes(f"{letters}\n{letters * 2}".encode(encoding))
        assert read_labels(tmp_path / "labels.txt") == (letters, letters * 2)


@pytest.mark.parametrize("content", ['{"a": "0", "b": "2"}', '{"a": [0]}', "[1, 2]", "[]", "{}", '{"a": 0, "1": "b"}'])
def test_json_of_another_kind_is_refused(content, tmp_path):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(AIAError, match=r"labels\.json must be a JSON list"):
        read_labels(tmp_path / "labels.json")


@pytest.mark.parametrize("content", ['{"a": 0,}', '["a", "b"', '[\n "a"\n "b"]'])
def test_broken_json_is_not_taken_for_labels(content, tmp_path):
    (tmp_path / "labels.txt").write_text(content)
    with pytest.raises(AIAError, match=r"labels\.txt is not valid JSON"):
        read_labels(tmp_path / "labels.txt")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [("0 a\n1 b\n1 c", "1 comes twice"), ("0 a\n1 b\n3 c", "2 is missing"), ("a 5\nb 6", "begin with 5")],
)
def test_numbers_that_do_not_count_are_kept_and_told(lines, problem, tmp_path, caplog):
    (tmp_path / "labels.txt").write_text(lines)
    assert read_labels(tmp_path / "labels.txt") == tuple(lines.split("\n"))
    assert problem in caplog.text and len(caplog.records) == 1


@pytest.mark.parametrize(
    "read", [read_labels, Recipe.from_file, read_manifest, lambda path: list_clips(f"file://{path}")]
)
def test_a_large_file_is_not_read_as_text(read, tmp_path):
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(20 << 30)  # without blocks on the disk
    with pytest.raises(AIAError, match=r"large\.csv is larger than 64 MB"):
        read(tmp_path / "large.csv")


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize(
    ("tops", "splits"),
    [
        ("Train Val TEST", "train val test"),
        ("training dev testing", "train val test"),
        ("train valid", "train val"),
        ("train Val other", "train"),  # as they were read before
        ("Train Bus", ""),
    ],
)
def test_split_folders_of_any_spelling_are_no_classes(tops, splits, tmp_path):
    tops, splits = tops.split(), splits.split()
    for top in tops:
        (tmp_path / top / "wave").mkdir(parents=True)
        (tmp_path / top / "wave" / "a.mp4").touch()
    (tmp_path / "notes").mkdir()
    found = read_manifest(tmp_path)
    assert [(s.kind, s.split) for s in found] == (
        [("wave", split) for split in splits] or [(top, "train") for top in sorted(tops)]
    )
    listed = {(item.label, item.split) for item in list_clips(f"file://{tmp_path}")}
    assert listed == {("wave", split) for split in splits} | {(top, None) for top in tops[len(splits) :]}


def test_a_split_is_found_by_any_of_its_names(folder):
    (folder / "clips.csv").write_text(table())
    for spelling in ("val", "dev", "Valid"):
        assert [item.path for item in list_clips(folder / "clips.csv", split=spelling)] == ["Übung é.mp4"]


def test_a_class_that_is_called_like_a_split_is_told(tmp_path, caplog):
    for place in ("bus", "train"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.mp4").touch()
    with pytest.raises(
        AIAError, match=r"holds 'bus' beside 'train', which is the name of a split; .* or rename the class"
    ):
        read_manifest(tmp_path)
    (tmp_path / "train" / "wave").mkdir()
    (tmp_path / "train" / "wave" / "b.mp4").touch()
    assert [s.kind for s in read_manifest(tmp_path)] == ["wave"]
    assert "folders beside those of the splits are ignored, such as 'bus'" in caplog.text


def test_a_class_of_rows_that_are_left_out_on_purpose_is_no_class(folder):
    content = table(rows=[*ROWS[:2], ("Übung é.mp4", "bad", "exclude")])
    (folder / "clips.csv").write_text(content)
    assert class_order(folder, read_manifest(folder)) == ["ring", "star"]


def test_clips_of_one_name_are_told_apart(tmp_path):
    files = ["left/000.mp4", "left/001.mp4", "right/000.mp4", "right/a/002.mp4", "right/b/002.mp4"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    found = read_manifest(tmp_path)
    assert clip_names(found) == ("left/000.mp4", "001.mp4", "right/000.mp4", "a/002.mp4", "b/002.mp4")
    assert len(set(groups_of(found))) == len(files), "without a scene, each clip is a group of its own"
    recipe = Recipe({"num_segments": 2, "input_size": 32, "resize": [32, 32]}, holdout=["left/000.mp4", "002.mp4"])
    assert [is_held_out(clip, recipe) for clip in found] == [True, False, False, True, True]


def test_what_a_recipe_holds_out_and_the_data_lacks_is_told(folder, caplog):
    (folder / "clips.csv").write_text(table())
    network = {"num_segments": 2, "input_size": 32, "resize": [32, 32]}
    check_holdout(read_manifest(folder), Recipe(network, holdout=["star.mp4", "star/star.mp4"]))
    assert not caplog.records
    check_holdout(read_manifest(folder), Recipe(network, holdout=["star.mp4", *"dbca"]))
    assert "The recipe holds out what the data does not have: 'a', 'b', 'c' and 1 more." in caplog.text


def test_a_folder_of_any_bytes_can_be_a_label(tmp_path):
    place = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(place)  # noqa: PTH102  a path of bytes
    open(place + b"/a.mp4", "wb").close()  # noqa: PTH123
    (item,) = list_clips(tmp_path)
    assert (item.label, item.path) == ("caf\\udce9", "caf\\udce9/a.mp4")


def test_labels_of_a_data_folder_may_be_numbered(tmp_path):
    for kind in ("1 hand", "2 hands"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "a.mp4").touch()
    found = read_manifest(tmp_path)
    (tmp_path / "labels.txt").write_text("2 hands\n1 hand\n")
    assert class_order(tmp_path, found) == ["2 hands", "1 hand"], "these are the labels themselves"
    (tmp_path / "labels.txt").write_text("1: 2 hands\n2: 1 hand\n")
    assert class_order(tmp_path, found) == ["2 hands", "1 hand"]
    (tmp_path / "labels.txt").write_bytes(b"\x81\n")
    with pytest.raises(AIAError, match=r"labels\.txt"):
        class_order(tmp_path, found)
