"""A stranger's model: what its configuration, its labels and its weights may hold, and where a label is shown."""

import dataclasses
import json
import os
import re
import struct
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from conftest import LABELS, ODD_LABELS, small_net
from huggingface_hub import ModelCard
from playwright.sync_api import expect
from safetensors.torch import load_file, save

import aia
from aia import cli, limits
from aia.hub import files as hub_files
from aia.hub import loading
from aia.visualization import export
from aia.visualization.snippet import as_python
from aia.visualization.view import View

CONFIG, WEIGHTS = "config.json", "model.safetensors"


# ---- labels


@pytest.mark.parametrize(
    "label",
    [
        *("Divide/Pull Apart", "N/A", "and/or", "12 m/s", "..."),  # EGTEA Gaze+ has the first
        *("Sonne über dem Ärmelkanal", "手を振る", "می‌خواهم", "👩‍🍳 cooking", "naïve café"),
        *ODD_LABELS,
    ],
)
def test_a_label_may_be_any_plain_text(label):
    assert aia.AIAConfig(labels=(label, "other")).labels[0] == label


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("left\nright", "one line"),
        ("left\r\x1b[2J\x1b[31mred", "one line"),  # a terminal would be wiped
        ("bell\a", "hidden"),
        ("\u202eevil.exe", "hidden"),  # right to left
        ("a\u2066b\u2069", "hidden"),
        ("sw\u200bipe", "hidden"),
        ("a\u2028b", "one line"),
        ("\ud800", "plain text"),  # half a character, which no file can hold
        ("/etc/passwd", "is a path"),
        ("~/secret", "is a path"),
        ("../../up", "is a path"),
        ("a/../b", "is a path"),
        ("..\\up", "is a path"),
        ("C:\\Users", "is a path"),
        ("\\\\host\\share", "is a path"),
        ("https://example.org/x", "is a path"),
        ("file:///etc/passwd", "is a path"),
    ],
)
def test_a_label_that_hides_something_or_names_a_file_is_refused_in_plain_words(label, said):
    with pytest.raises(aia.AIAError, match=said) as error:
        aia.AIAConfig.from_dict(json.loads(json.dumps({"labels": ["a", label]})))
    assert str(error.value).isprintable() and len(str(error.value)) < 200


# ---- where labels are shown


@pytest.fixture(scope="module")
def odd(clip):
    """An inspection by a network with odd labels."""
    net = small_net()
    net.config = dataclasses.replace(net.config, labels=ODD_LABELS)
    return aia.inspect(net, clip)


@pytest.mark.long
def test_the_page_shows_odd_labels_as_they_are(browser, server):
    page = browser.new_page()
    alarms, asked = [], []
    page.on("dialog", lambda dialog: alarms.append(dialog.message) or dialog.dismiss())
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server[0]}/?model={server[1][5]}")
    page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.link.model.endsWith('odd-labels')")
    for place in ("#summary", ".viewer .pane"):
        text = page.locator(place).text_content()
        assert any(label in text for label in ODD_LABELS), (place, text)
    for label in ODD_LABELS:
        expect(page.locator("#summary")).to_contain_text(label)
    for name, place in (("What if", "#ranking"), ("Compare", "#compared"), ("Learn", "#learn article")):
        page.get_by_role("tab", name=name, exact=True).click()
        if name == "Compare":
            page.locator("#run-compare").click()
        expect(page.locator(place).first).to_be_attached()
        page.wait_for_function("(place) => document.querySelector(place)?.textContent.trim()", arg=place)
    for label in ODD_LABELS:
        expect(page.locator("#compared")).to_contain_text(label)
    assert page.locator("img[src=x]").count() == 0 and not any(url.endswith("/x") for url in asked)
    assert alarms == [] and "49" not in page.locator("#summary .scores").text_content().split()
    page.close()


@pytest.mark.long
def test_figures_show_odd_labels_as_they_are(odd, tmp_path):
    view = View(odd.first_block)
    for index, label in enumerate(ODD_LABELS):
        odd.probabilities[:] = [0.8 if i == index else 0.1 for i in range(3)]
        text = "".join(ElementTree.parse(export.export_view(odd, view, "figure.svg", tmp_path)).getroot().itertext())
        assert label in text
    for format in ("figure.pdf", "figure.png"):
        assert export.export_view(odd, view, format, tmp_path).stat().st_size > 1000


@pytest.mark.long
def test_no_label_reaches_a_table_or_a_file_name_and_json_keeps_it(odd, tmp_path):
    for format in export.FORMATS:
        export.export_view(odd, View(odd.first_block), format, tmp_path)
    aia.save(odd, tmp_path)
    for path in tmp_path.iterdir():
        assert re.fullmatch(r"[a-z-]+\.[a-z0-9]+", path.name)
        if path.suffix == ".csv":  # a spreadsheet would run =HYPERLINK
            cells = [cell for line in path.read_text().splitlines() for cell in line.split(",")]
            assert all(re.fullmatch(r"(-?\d)?[\w.]*", cell) for cell in cells)
    assert set(json.loads((tmp_path / "inspection.json").read_text())["scores"]) == set(ODD_LABELS)


@pytest.mark.slow
def test_a_card_shows_odd_labels_as_they_are(tmp_path):
    labels = (*ODD_LABELS, "```", "`a``b", "[x](javascript:y)", "# title", "---")
    small_net().save_pretrained(
        tmp_path, config=dataclasses.replace(small_net().config, labels=labels)
    )  # a card is made of the configuration that is given
    card = aia.hub.card.model_card(aia.AIAConfig(labels=labels))
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict(), "the lines of data stay what they were"
    for label in labels:
        marks = "`" * (1 + max([len(run) for run in re.findall("`+", label)], default=0))
        assert f"{marks} {label} {marks}" in card.text or f"`{label}`" in card.text


@pytest.mark.parametrize("name", ['"); import os; ("', "a'b\"c\\", "x\ny", "\u202e.mp4", "$(rm)`x`", "{0}%s"])
def test_a_program_quotes_whatever_it_is_given(name):
    program = as_python(name, name, View("layer1.0"), switches=[aia.Switch("mean")])
    calls = re.findall(r"(?:load|read_clip)\((.*?)(?:, num_segments=.*)?\)$", program, re.M)
    assert [eval(call) for call in calls] == [name, name] and program.replace("\n", "").isprintable()
    compile(program, "view", "exec")


@pytest.mark.slow
def test_the_terminal_gets_nothing_but_text(tmp_path, video, capsys):
    small_net().save_pretrained(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    for labels in (["\x1b[31mred", *LABELS[1:]], ODD_LABELS):
        (tmp_path / CONFIG).write_text(json.dumps({**config, "labels": labels}))
        assert cli.main(["classify", str(video), "--model", str(tmp_path)]) == (labels is not ODD_LABELS)
        said = capsys.readouterr()
        assert (said.out + said.err).replace("\n", "").isprintable() and len(said.out + said.err) > 20


# ---- files


def _header(entries: dict | bytes, data: bytes = b"") -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def _entry(start: int, end: int, shape: list[int] | None = None, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": [(end - start) // 4] if shape is None else shape, "data_offsets": [start, end]}


A, B = _entry(0, 8), _entry(8, 16)
BAD_FILES = {
    "seven bytes": b"1234567",
    "a header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "the longest header that can be said": struct.pack("<Q", 2**64 - 1) + b"{}",
    "not JSON": _header(b"{]"),
    "not an object": _header(b"[]"),
    "more after the JSON": _header(b"{} {}"),
    "nested without end": _header(b'{"a":' + b"[" * 100_000 + b"}"),
    "metadata that is no text": _header({"__metadata__": {"a": [1]}, "a": A}, bytes(8)),
    "overlapping tensors": _header({"a": A, "b": _entry(4, 12)}, bytes(12)),
    "two tensors in one place": _header({"a": A, "b": A}, bytes(8)),
    "a hole between tensors": _header({"a": A, "b": _entry(12, 20)}, bytes(20)),
    "a hole before the first": _header({"a": _entry(4, 12)}, bytes(12)),
    "bytes after the last": _header({"a": A}, bytes(9)),
    "an end before the start": _header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, bytes(8)),
    "a negative place": _header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}, bytes(8)),
    "a shape larger than its bytes": _header({"a": _entry(0, 8, [3])}, bytes(8)),
    "a shape whose size overflows": _header({"a": _entry(0, 8, [2**62, 8])}, bytes(8)),
    "an unknown kind of number": _header({"a": _entry(0, 8, dtype="F99")}, bytes(8)),
    "one name twice": _header(json.dumps({"a": A, "b": B}).replace('"b"', '"a"').encode(), bytes(16)),
}


@pytest.mark.slow
@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_weights_that_are_not_what_they_say_are_refused(content, tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps({"labels": ["a", "b"], "arch": "mobilenet_v2"}))
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(aia.AIAError, match=r"^model\.safetensors is damaged or not a safetensors file"):
        loading.load(tmp_path, device="cpu")


@pytest.mark.slow
def test_a_header_is_measured_before_it_is_read(tmp_path, monkeypatch):
    crowd = {f"t{i}": _entry(0, 0, [0]) for i in range(20_000)}  # 100 MB of these would take 2 GB of memory
    (tmp_path / CONFIG).write_text(json.dumps({"labels": ["a", "b"], "arch": "mobilenet_v2"}))
    (tmp_path / WEIGHTS).write_bytes(_header(crowd))
    monkeypatch.setattr(hub_files, "safe_open", lambda *args, **kwargs: pytest.fail("it was read"))
    with pytest.raises(aia.AIAError, match="a header of more than 1024 KiB"):
        loading.load(tmp_path, device="cpu")


def test_every_network_fits_the_header():
    with torch.device("meta"):
        largest = aia.AIANet(aia.AIAConfig(labels=LABELS, arch="resnet101", attention="stinc->cinst"))
    header = {key: _entry(10**9, 10**9, list(tensor.shape)) for key, tensor in largest.state_dict().items()}
    assert len(_header(header)) < limits.MAX_HEADER_BYTES / 4


@pytest.mark.slow
def test_a_weight_that_is_no_number_is_refused_even_where_nothing_would_show(tmp_path):
    net = small_net()
    net.save_pretrained(tmp_path)
    state = load_file(tmp_path / WEIGHTS)
    state["head.bias"][2] = float("nan")  # the third label only
    (tmp_path / WEIGHTS).write_bytes(save(state))
    with pytest.raises(aia.AIAError, match=r"values in head\.bias that are not finite numbers"):
        loading.load(tmp_path, device="cpu")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes among the files here")
def test_a_pipe_or_a_device_is_no_file_of_a_model(tmp_path):
    os.mkfifo(tmp_path / CONFIG)
    with pytest.raises(aia.AIAError, match=r"config\.json cannot be read"):
        loading.load(tmp_path, device="cpu")
    (tmp_path / CONFIG).unlink()
    (tmp_path / CONFIG).symlink_to("/dev/zero")
    with pytest.raises(aia.AIAError, match=r"config\.json cannot be read"):
        loading.load(tmp_path, device="cpu")
    (tmp_path / CONFIG).unlink()
    (tmp_path / CONFIG).write_text(json.dumps({"labels": ["a", "b"], "arch": "mobilenet_v2"}))
    os.mkfifo(tmp_path / WEIGHTS)
    with pytest.raises(aia.AIAError, match=r"has no model\.safetensors"):
        loading.load(tmp_path, device="cpu")


def test_a_configuration_cannot_ask_for_a_giant(tmp_path):
    for change in ({"arch": "resnet9999"}, {"num_segments": 10**9}, {"input_size": 10**6}, {"labels": ["x"] * 10**5}):
        (tmp_path / CONFIG).write_text(json.dumps({"labels": ["a", "b"], **change}))
        with pytest.raises(aia.AIAError):
            loading.load(tmp_path, device="cpu")
    (tmp_path / CONFIG).write_bytes(b'{"labels": ["' + b"a" * limits.MAX_CONFIG_BYTES + b'"]}')
    with pytest.raises(aia.AIAError, match="too large"):
        loading.load(tmp_path, device="cpu")
