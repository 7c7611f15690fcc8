"""What `aia.load` promises, with the real Hub client against a Hub on this machine.

The client reads its environment when it is imported, so it runs in a process of its own (this file as a script), which
answers one job a line. Nothing outside this machine is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, clip_of, moving_frames
from hub_server import Fault, HubServer, Repo
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from aia.errors import AIAError
from aia.hub import files as hub_files
from aia.hub import loading
from aia.hub.files import REFERENCE
from aia.hub.pretrained import AIANet
from aia.hub.reference import write_reference
from aia.inspection.reference import compute_reference
from aia.modeling.config import AIAConfig

pytestmark = pytest.mark.server  # a Hub, and a program that loads from it

CONFIG, WEIGHTS = "config.json", "model.safetensors"
SMALL = AIAConfig(
    labels=("a", "b", "c"), arch="mobilenet_v2", temporal="tsm", attention="cinst", input_size=32, resize=32
)
STORED, GIVEN = "hf_STOREDBYALOGIN", "hf_GIVENINTHEENVIRONMENT"


def seen(model: AIANet) -> dict:
    """What two equal networks have in common: every bit of the weights, and the logits."""
    state = hashlib.sha256()
    for key, tensor in model.state_dict().items():
        state.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode() + tensor.numpy().tobytes())
    clip = torch.linspace(-2, 2, 2 * 3 * 32 * 32).reshape(1, 2, 3, 32, 32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same sums in every process, and many threads are slow for so small a clip
    with torch.inference_mode():
        logits = model(clip)[0].tolist()
    torch.set_num_threads(threads)
    return {
        "state": state.hexdigest(),
        "logits": logits,
        "training": model.training,
        "labels": list(model.config.labels),
        "reference": repr(model.reference),
    }


def one_sentence(text: str) -> str:
    """Holds a message to the project's rule, and to keeping secrets."""
    assert text[-1] in ".?" and text.isprintable() and len(text) <= 320, text
    assert not re.search(r"[.!?] +[A-Z]", text), text
    for secret in ("http", "Traceback", "Error", "127.0.0.1", "hf_", "Bearer", "secret"):
        assert secret not in text, text
    return text


class Client:
    """A process with the Hub's client in it, and with a login's token in its home."""

    def __init__(self, hub_url: str, home: Path, **environment: str) -> None:
        self.jobs = 0
        home.mkdir()
        (home / "token").write_text(STORED)
        clean = {k: v for k, v in os.environ.items() if not re.match(r"(?i)HF_|HUGGING|.*_proxy$", k)}
        clean |= {
            "HF_ENDPOINT": hub_url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "support"))),
        }
        clean |= {"HF_HUB_ETAG_TIMEOUT": "5", "HF_HUB_DOWNLOAD_TIMEOUT": "5", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=clean | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, **job) -> dict:
        self.jobs += 1
        self.process.stdin.write(json.dumps({**job, "number": self.jobs}) + "\n")
        self.process.stdin.flush()
        while (answer := json.loads(self.process.stdout.readline())).pop("number") != self.jobs:
            pass  # the answer to a test that was given up
        return answer

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)


def _answer_jobs() -> None:
    from huggingface_hub import constants

    torch.set_num_threads(1)
    shipped, home = hub_files.CHECKPOINTS, Path.cwd()
    for line in sys.stdin:
        job = json.loads(line)
        constants.HF_HUB_CACHE = job["cache"]
        hub_files.CHECKPOINTS = Path(job["checkpoints"]) if job.get("checkpoints") else shipped
        os.chdir(job.get("cwd") or home)
        os.environ.pop("HF_TOKEN", None)
        if job.get("token"):
            os.environ["HF_TOKEN"] = job["token"]
        try:
            if job.get("push"):
                answer = {"pushed": str(loading.load(job["name"], device="cpu").push_to_hub(job["push"]))}
            else:
                answer = seen(loading.load(job["name"], revision=job.get("revision"), device="cpu"))
        except Exception as error:
            answer = {"error": type(error).__name__, "sentence": str(error)}
        print(json.dumps({**answer, "number": job["number"]}), flush=True)


@pytest.fixture(scope="session")
def network() -> AIANet:
    torch.manual_seed(0)
    return AIANet(SMALL).eval()


@pytest.fixture(scope="session")
def folder(network, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small"
    network.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def files(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}


@pytest.fixture(scope="session")
def server():
    with HubServer() as running:
        yield running
        for request in running.everything:
            assert STORED not in str(request.headers), "a stored login's token was sent"


@pytest.fixture(scope="session")
def cache(files, tmp_path_factory) -> str:
    """A cache with user/repo in it, laid out by hand as the Hub's documentation says."""
    path, commit = tmp_path_factory.mktemp("cache"), "c0ffee" + "0" * 34
    snapshot = path / "models--user--repo/snapshots" / commit
    snapshot.mkdir(parents=True)
    for name, data in files.items():
        (snapshot / name).write_bytes(data)
    (path / "models--user--repo/refs").mkdir()
    (path / "models--user--repo/refs/main").write_text(commit)
    return str(path)


@pytest.fixture(scope="session")
def offline(server, tmp_path_factory):
    process = Client(server.url, tmp_path_factory.mktemp("offline") / "home", HF_HUB_OFFLINE="1")
    yield process
    process.close()


@pytest.fixture(scope="session")
def client(server, offline, cache, tmp_path_factory):  # offline: the two start side by side
    process = Client(server.url, tmp_path_factory.mktemp("client") / "home")
    process.first = process.ask(name="user/repo", cache=cache), list(server.requests)
    yield process
    process.close()


@pytest.fixture(scope="session")
def reference(network) -> dict:
    """What the network in memory gives."""
    return seen(network)


@pytest.fixture
def load(server, client, tmp_path):
    """Loads in the client's process with a cache of this test's own; the answer is `seen` or an error."""
    server.reset()

    def ask(name: str = "user/repo", **job) -> dict:
        return client.ask(**{"name": name, "cache": str(tmp_path / "cache"), **job})

    yield ask
    server.reset()


def _what(answer: dict) -> dict:
    assert "error" not in answer, answer
    return {key: answer[key] for key in ("state", "logits", "training", "labels", "reference")}


def _why(answer: dict) -> str:
    assert answer.get("error") == "AIAError", answer
    return one_sentence(answer["sentence"])


# ---- what arrives


@pytest.mark.long
def test_a_repository_and_a_folder_give_the_same_bits_as_the_network_in_memory(server, load, files, folder, reference):
    server.commit("user/repo", files)
    assert _what(load()) == reference
    assert _what(load(str(folder))) == reference
    assert reference["training"] is False


def test_only_config_and_safetensors_are_asked_for(server, load, files):
    server.commit("user/repo", {**files, "pytorch_model.bin": b"pickle", "README.md": b"# Hello", "model.py": b"1"})
    _what(load())
    asked = {request.path.rsplit("/", 1)[-1] for request in server.asked() if "/resolve/" in request.path}
    assert asked == {CONFIG, WEIGHTS, REFERENCE}, "the last one need not be there"


def test_a_revision_is_a_branch_a_tag_or_a_commit(server, load, files, reference):
    other = {**files, CONFIG: files[CONFIG].replace(b'"a"', b'"other"')}
    first = server.commit("user/repo", files, "main", "v1.0")
    second = server.commit("user/repo", other, "feature/new")
    for revision in (None, "", "main", "v1.0", first):
        assert _what(load(revision=revision)) == reference
    for revision in ("feature/new", second):
        assert _what(load(revision=revision))["labels"] == ["other", "b", "c"]


def test_config_and_weights_come_from_one_commit(server, load, files, reference):
    commit = server.commit("user/repo", files)
    _what(load())
    assert all(f"/{commit}/" in request.path for request in server.asked(WEIGHTS))


def test_a_large_file_may_lie_on_another_host(server, load, files, reference):
    server.commit("user/repo", files)
    with HubServer() as cdn:
        cdn.repos = server.repos
        server.faults[WEIGHTS] = Fault(redirect=cdn.url)
        assert _what(load()) == reference
        assert cdn.asked(WEIGHTS)


@pytest.fixture(scope="module")
def referenced(network, files, tmp_path_factory) -> dict[str, bytes]:
    """The files of the network with a reference."""
    clips = [clip_of(moving_frames(network.config.num_segments, seed=seed)) for seed in range(2)]
    network.reference = compute_reference(network, clips)
    path = write_reference(tmp_path_factory.mktemp("reference"), network.reference)
    network.reference = None
    return {**files, path.name: path.read_bytes()}


def test_a_reference_comes_with_its_model(server, load, referenced):
    server.commit("user/repo", referenced)
    assert load()["reference"] == "Reference(2 clips, 17 blocks)"
    server.requests.clear()
    assert load()["reference"] == "Reference(2 clips, 17 blocks)"
    assert server.asked() == [], "the cache has all three files"


def test_a_reference_that_is_damaged_or_does_not_arrive_is_said(server, load, referenced):
    server.commit("user/repo", {**referenced, REFERENCE: b"no reference"})
    assert "reference.safetensors is damaged" in _why(load())
    server.commit("user/other", referenced)
    server.faults[REFERENCE] = Fault(status=403)
    assert "does not give user/other" in _why(load("user/other"))


# ---- the cache


def test_a_second_load_asks_nobody_and_needs_no_network(server, load, files, reference):
    server.commit("user/repo", files)
    _what(load())
    server.requests.clear()
    assert _what(load()) == reference
    assert server.asked() == []
    server.stop()
    try:
        assert _what(load()) == reference
        assert _what(load(revision="main")) == reference
    finally:
        server.start()


def test_a_new_process_loads_from_the_cache_without_a_request(client, reference):
    answer, requests = client.first
    assert _what(answer) == reference
    assert requests == []  # not even the client's own telemetry


def test_offline_mode_loads_from_the_cache_and_says_so_without(server, load, offline, cache, reference, tmp_path):
    assert _what(offline.ask(name="user/repo", cache=cache)) == reference
    answer = offline.ask(name="user/repo", cache=str(tmp_path / "empty"))
    assert "HF_HUB_OFFLINE is set" in _why(answer)
    assert server.asked() == []


def test_a_commit_without_weights_in_the_cache_does_not_hide_a_later_one(server, load, files, reference):
    server.commit("user/repo", {CONFIG: files[CONFIG]})
    assert WEIGHTS in _why(load())
    server.commit("user/repo", files)
    assert _what(load()) == reference


def test_a_repaired_config_is_loaded(server, load, files, reference):
    server.commit("user/repo", {**files, CONFIG: b"{}"})
    assert "labels" in _why(load())
    server.commit("user/repo", files)
    assert _what(load()) == reference


# ---- the order


def test_a_folder_called_user_repo_wins_over_the_hub(server, load, files, folder, reference, tmp_path):
    server.commit("user/repo", {**files, CONFIG: files[CONFIG].replace(b'"a"', b'"hub"')})
    (tmp_path / "user").mkdir()
    (tmp_path / "user/repo").symlink_to(folder)
    assert _what(load(cwd=str(tmp_path))) == reference
    assert server.asked() == []


def test_a_folder_wins_over_a_shipped_name_and_a_shipped_name_needs_no_hub(server, load, folder, reference, tmp_path):
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped/mine").symlink_to(folder)
    assert _what(load("mine", checkpoints=str(tmp_path / "shipped"), cwd=str(tmp_path))) == reference
    (tmp_path / "mine").mkdir()
    assert CONFIG in _why(load("mine", checkpoints=str(tmp_path / "shipped"), cwd=str(tmp_path)))
    assert server.asked() == []


def test_a_shipped_name_cannot_lead_out_of_the_checkpoints(folder, tmp_path, monkeypatch):
    (tmp_path / "shipped/mine").mkdir(parents=True)
    (tmp_path / "outside").symlink_to(folder)
    monkeypatch.setattr(hub_files, "CHECKPOINTS", tmp_path / "shipped")
    for name in ("../outside", "mine/../../outside", ".", "mine/"):
        with pytest.raises(AIAError) as caught:
            loading.load(name, device="cpu")
        one_sentence(str(caught.value))


def test_available_models_have_both_files(files, tmp_path, monkeypatch):
    for name, held in (("b", (CONFIG, WEIGHTS)), ("a", (CONFIG, WEIGHTS)), ("half", (CONFIG,)), ("other", (WEIGHTS,))):
        (tmp_path / name).mkdir()
        for file in held:
            (tmp_path / name / file).write_bytes(files[file])
    monkeypatch.setattr(hub_files, "CHECKPOINTS", tmp_path)
    assert loading.available_models() == ("a", "b")


# ---- names


ODD_NAMES = [
    "",
    " ",
    "nothing",
    "./x/y",
    "../x",
    "a/b/c",
    "/etc/passwd",
    "user/..",
    "user/re..po",
    "user/re--po",
    "user/repo.git",
    "user/repo\n",
    "user/",
    "/repo",
    "-user/repo",
    "üser/repo",
    "user\\repo",
    "C:\\models\\small",
    "C:/small",
    "https://huggingface.co/user/repo",
    "user/repo?x=1#y",
    "user/%2e%2e",
    "nul\0byte/x",
    "\ud800/x",
    "x" * 10_000,
    "x" * 97 + "/y",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name)[:30])
def test_a_name_that_can_be_nothing_is_refused_without_a_request(name, server, load, tmp_path):
    answer = load(name, cwd=str(tmp_path))
    assert answer.get("error") == "AIAError" and answer["sentence"].startswith("There is no model "), answer
    one_sentence(answer["sentence"].replace(repr(name[:200]), "it"))
    assert server.asked() == []


@pytest.mark.parametrize("name", [".", "..", "user/repo", "user/../user"])
def test_a_folder_without_a_model(name, tmp_path, monkeypatch):
    (tmp_path / "in/user/repo").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "in")
    with pytest.raises(AIAError, match=r"config\.json cannot be read") as caught:
        loading.load(name, device="cpu")
    one_sentence(str(caught.value))


@pytest.mark.parametrize("revision", ["../../../x", "/etc/passwd", "a/../b", "a\\b", "C:x", "a b", "\n", ".."])
def test_a_revision_that_git_does_not_allow_is_never_a_path(server, load, revision):
    assert "cannot be a revision" in _why(load(revision=revision))
    assert server.asked() == []


# ---- what the Hub refuses


def test_a_missing_repository(server, load):
    assert "user/repo is neither a folder here nor a public repository" in _why(load())
    assert "HF_TOKEN" in _why(load(token=GIVEN))


def test_a_missing_revision(server, load, files):
    server.commit("user/repo", files)
    assert "has no revision 'v9'" in _why(load(revision="v9"))


def test_a_model_that_is_here_has_no_revision(server, load, folder):
    assert "is a folder, and only repositories of the Hub have revisions" in _why(load(str(folder), revision="v1.0"))
    assert "is a shipped model" in _why(load(loading.DEFAULT_MODEL, revision="v1.0"))
    assert server.asked() == []


@pytest.mark.parametrize("missing", [CONFIG, WEIGHTS])
def test_a_missing_file(server, load, files, missing):
    server.commit("user/repo", {name: data for name, data in files.items() if name != missing})
    assert f"has no {missing}" in _why(load())


def test_pickled_weights_are_refused_and_never_asked_for(server, load, files):
    server.commit("user/repo", {CONFIG: files[CONFIG], "pytorch_model.bin": b"\x80\x04pickle"})
    assert "pickled weights are not loaded" in _why(load())
    assert server.asked(".bin") == []


def test_a_gated_repository(server, load, files, reference):
    server.commit("user/repo", files)
    server.repos["user/repo"].gated, server.repos["user/repo"].token = True, GIVEN
    assert "is gated" in _why(load())
    assert "is gated" in _why(load(token="hf_another"))
    assert _what(load(token=GIVEN)) == reference


def test_a_private_repository_needs_the_token_of_the_environment(server, load, files, reference):
    server.commit("user/repo", files)
    server.repos["user/repo"].token = GIVEN
    assert "HF_TOKEN" in _why(load())  # a stored token lies in this client's home
    assert "HF_TOKEN" in _why(load(token="hf_another"))
    assert _what(load(token=GIVEN)) == reference


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_the_hub_does_not_take(server, load, files, status):
    server.commit("user/repo", files)
    server.faults["*"] = Fault(
        status=status, headers={"X-Error-Message": "Invalid credentials in Authorization header"}
    )
    assert "check HF_TOKEN" in _why(load(token=GIVEN))


# ---- tokens


def test_the_token_goes_to_the_endpoint_and_not_to_another_host(server, load, files, reference):
    server.commit("user/repo", files)
    with HubServer() as cdn:
        cdn.repos = server.repos
        server.faults[CONFIG] = Fault(redirect=cdn.url, methods=("GET",))  # only the file itself is redirected
        server.faults[WEIGHTS] = Fault(redirect=cdn.url)  # as the Hub does
        assert _what(load(token=GIVEN)) == reference
        assert {request.token for request in server.asked() if "/resolve/" in request.path} == {GIVEN}
        assert {request.path.rsplit("/", 1)[-1] for request in cdn.asked()} == {CONFIG, WEIGHTS}
        assert all(GIVEN not in str(request.headers) for request in cdn.asked())


def test_without_hf_token_none_is_sent(server, load, files):
    server.commit("user/repo", files)
    _what(load())
    assert {request.token for request in server.asked()} == {""}


def test_a_token_with_a_line_break_works_and_a_broken_one_is_not_shown(server, load, files, reference):
    server.commit("user/repo", files)
    server.repos["user/repo"].token = GIVEN
    assert "hf_" not in _why(load(token="hf_br\noken"))
    assert "hf_" not in _why(load(token="hf_brøken"))
    assert _what(load(token=GIVEN + "\n")) == reference


# ---- a bad connection


def test_no_server_and_no_cache(server, load):
    server.stop()
    try:
        answer = load()
    finally:
        server.start()
    assert "check the connection" in _why(answer)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_not_waited_for(server, load, files, reference, status):
    server.commit("user/repo", files)
    server.faults["*"] = Fault(status=status, headers={"Retry-After": "60"})
    assert "try again" in _why(load())
    assert len(server.asked()) == 1, "the client alone would ask again and again"
    server.faults.clear()
    assert _what(load()) == reference


@pytest.mark.long
def test_a_hanging_server_is_given_up(server, load, files):
    server.commit("user/repo", files)
    server.faults["*"] = Fault(hang=True)
    assert "check the connection" in _why(load())
    assert len(server.asked()) == 1, "the client alone would ask for six minutes"


@pytest.mark.long
def test_a_download_that_stands_still_once_goes_on(server, load, files, reference):
    server.commit("user/repo", files)
    server.faults[WEIGHTS] = Fault(hang=True, methods=("GET",), times=1)
    assert _what(load()) == reference


@pytest.mark.long
def test_a_connection_cut_in_the_middle_of_the_weights(server, load, files, reference, tmp_path):
    server.commit("user/repo", files)
    server.faults[WEIGHTS] = Fault(cut=len(files[WEIGHTS]) // 2, methods=("GET",))
    assert "try again" in _why(load())
    assert not list((tmp_path / "cache").rglob(WEIGHTS))  # half a file is never kept as a whole one
    server.faults.clear()
    assert _what(load()) == reference


def test_a_file_shorter_than_announced_is_no_file(server, load, files, reference, tmp_path):
    server.commit("user/repo", files)
    server.faults[WEIGHTS] = Fault(short=len(files[WEIGHTS]) // 2)
    assert "try again" in _why(load())
    assert not list((tmp_path / "cache").rglob(WEIGHTS))
    server.faults.clear()
    assert _what(load()) == reference


def test_an_address_that_is_no_hub(server, load):
    server.faults["*"] = Fault(status=200)
    assert "check the connection" in _why(load())


def test_a_cache_that_cannot_be_written_or_read(server, load, files, tmp_path):
    server.commit("user/repo", files)
    (tmp_path / "file").write_text("not a folder")
    assert "the disk" in _why(load(cache=str(tmp_path / "file")))
    refs = tmp_path / "damaged/models--user--repo/refs"
    refs.mkdir(parents=True)
    (refs / "main").write_bytes(b"\xff\xfe")
    assert "the disk" in _why(load(cache=str(tmp_path / "damaged")))


def test_a_file_too_large_for_a_model_is_not_downloaded(server, load, files):
    server.commit("user/repo", files)
    server.faults[WEIGHTS] = Fault(headers={"X-Linked-Size": str(5 * 2**30)})
    assert "larger than 1024 MiB" in _why(load())
    assert [request.method for request in server.asked(WEIGHTS)] == ["HEAD"]


# ---- bad files


def _with(**changes) -> bytes:
    return json.dumps({**SMALL.to_dict(), **changes}).encode()


BAD_CONFIGS = {
    "unknown field": (_with(auto_map="evil.py"), "unknown field 'auto_map'"),
    "wrong type": (_with(num_segments="8"), "num_segments"),
    "bool for a number": (_with(num_segments=True), "num_segments"),
    "unknown attention": (_with(attention="magic"), "attention"),
    "list for a word": (_with(arch=["resnet18"]), "arch"),
    "huge number": (_with(input_size=10**30), "input_size"),
    "infinite": (_with(mean=[float("inf"), 0, 0]), "mean"),
    "no labels": (_with(labels=[]), "labels"),
    "million labels": (_with(labels=[str(i) for i in range(1_000_000)]), "too large"),
    "not JSON": (b"labels: [a, b]", "not valid JSON"),
    "not text": (b"\xff\xfe\x00", "not valid JSON"),
    "empty": (b"", "not valid JSON"),
    "list": (b"[1, 2]", "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "deep": (b"[" * 100_000, "not valid JSON"),
}


@pytest.mark.parametrize("config, said", BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_bad_config_is_refused_before_the_weights_are_asked_for(server, load, files, config, said):
    server.commit("user/repo", {**files, CONFIG: config})
    assert said in _why(load())
    assert server.asked(CONFIG) and server.asked(WEIGHTS) == []


def _header(**entries) -> bytes:
    """A safetensors file that is nothing but its header."""
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


FIRST = "backbone.features.0.0.weight"
BAD_BYTES = {
    "empty": lambda good: b"",
    "truncated": lambda good: good[: len(good) // 2],
    "one byte short": lambda good: good[:-1],
    "one byte more": lambda good: good + b"\0",
    "pickle": lambda good: b"\x80\x04\x95" + good[:1000],
    "header damaged": lambda good: good[:40] + b"\xff\xfe" + good[42:],
    "header too long": lambda good: struct.pack("<Q", 2**62) + good[8:],
    "offsets outside": lambda good: _header(x={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}),
    "unknown dtype": lambda good: _header(x={"dtype": "F99", "shape": [0], "data_offsets": [0, 0]}),
}


@pytest.mark.parametrize("spoil", BAD_BYTES.values(), ids=BAD_BYTES)
def test_damaged_weights(files, tmp_path, spoil):
    (tmp_path / CONFIG).write_bytes(files[CONFIG])
    (tmp_path / WEIGHTS).write_bytes(spoil(files[WEIGHTS]))
    with pytest.raises(AIAError, match=r"model\.safetensors is damaged") as caught:
        loading.load(tmp_path, device="cpu")
    one_sentence(str(caught.value))


def test_damaged_weights_of_a_repository(server, load, files):
    server.commit("user/repo", {**files, WEIGHTS: files[WEIGHTS][:-1]})
    assert "model.safetensors is damaged" in _why(load())


def _filled(tensor: torch.Tensor, value: float) -> torch.Tensor:
    changed = tensor.clone()
    changed.view(-1)[3] = value
    return changed


BIAS = "head.bias"
BAD_TENSORS = {
    "missing": (lambda s: {k: v for k, v in s.items() if k != FIRST}, f"lacks {FIRST}."),
    "two missing": (lambda s: {k: v for k, v in s.items() if "head." not in k}, "lacks head.weight and 1 more."),
    "extra": (lambda s: {**s, "head.extra": torch.zeros(2)}, "has the unexpected 'head.extra'."),
    "any name": (lambda s: {**s, "evil\n" * 999: torch.zeros(2)}, "has the unexpected 'evil"),
    "any shape": (lambda s: {**s, BIAS: torch.zeros([1] * 60)}, f"another shape for {BIAS} ([1, 1, 1"),
    "misshapen": (lambda s: {**s, FIRST: torch.zeros(32, 3, 5, 5)}, f"{FIRST} ([32, 3, 5, 5], not [32, 3, 3, 3])"),
    "transposed": (lambda s: {**s, FIRST: s[FIRST].permute(3, 2, 1, 0).contiguous()}, f"shape for {FIRST}"),
    "NaN": (lambda s: {**s, FIRST: _filled(s[FIRST], float("nan"))}, f"values in {FIRST} that are not finite numbers"),
    "infinite": (lambda s: {**s, BIAS: torch.full((3,), float("inf"))}, f"values in {BIAS}"),
    "too large for float32": (lambda s: {**s, BIAS: torch.full((3,), 1e300, dtype=torch.float64)}, f"values in {BIAS}"),
    "whole numbers": (lambda s: {**s, BIAS: torch.zeros(3, dtype=torch.int32)}, f"values in {BIAS}"),
    "complex numbers": (lambda s: {**s, BIAS: torch.zeros(3, dtype=torch.complex64)}, f"complex numbers in {BIAS}"),
    "eight bits": (lambda s: {**s, BIAS: torch.zeros(3, dtype=torch.float8_e4m3fn)}, f"values in {BIAS}"),
}


@pytest.mark.parametrize("spoil, said", BAD_TENSORS.values(), ids=BAD_TENSORS)
def test_a_wrong_tensor_is_named(folder, files, tmp_path, spoil, said):
    (tmp_path / CONFIG).write_bytes(files[CONFIG])
    save_file(spoil(load_file(folder / WEIGHTS)), tmp_path / WEIGHTS)
    with pytest.raises(AIAError) as caught:
        loading.load(tmp_path, device="cpu")
    assert said in one_sentence(str(caught.value))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(folder, files, network, tmp_path, kind):
    (tmp_path / CONFIG).write_bytes(files[CONFIG])
    state = {k: v.to(kind) if v.is_floating_point() else v for k, v in load_file(folder / WEIGHTS).items()}
    save_file(state, tmp_path / WEIGHTS)
    loaded = loading.load(tmp_path, device="cpu").state_dict()
    for key, tensor in network.state_dict().items():
        assert loaded[key].dtype == tensor.dtype
        assert torch.equal(loaded[key], tensor.to(kind).to(tensor.dtype) if tensor.is_floating_point() else tensor)


def test_a_folder_with_pickled_weights_only(files, tmp_path):
    (tmp_path / CONFIG).write_bytes(files[CONFIG])
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04pickle")
    with pytest.raises(AIAError, match="pickled weights are not loaded") as caught:
        loading.load(tmp_path, device="cpu")
    one_sentence(str(caught.value))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there(folder, device):
    with pytest.raises(AIAError, match="cannot be used here") as caught:
        loading.load(folder, device=device)
    one_sentence(str(caught.value))


# ---- saving and pushing


def test_a_saved_model_has_config_weights_and_a_card(folder, network):
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", CONFIG, WEIGHTS]
    assert AIAConfig.from_file(folder / CONFIG) == SMALL
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "aia-studio"
    assert card.data.pipeline_tag == "video-classification"
    assert {"attention-in-attention", "mobilenet_v2", "tsm", "cinst"} <= set(card.data.tags)
    assert "aia.load(" in card.text and SMALL.title in card.text
    assert seen(loading.load(folder, device="cpu")) == seen(network)
    assert seen(AIANet.from_pretrained(str(folder), device="cpu")) == seen(network)


def test_a_pushed_model_comes_back(server, load, folder, reference, tmp_path):
    server.repos["user/mine"] = Repo(token=GIVEN)
    answer = load(str(folder), push="user/mine", token=GIVEN)
    assert "/user/mine/commit/" in answer.get("pushed", ""), answer
    assert {request.token for request in server.asked() if request.method == "POST"} == {GIVEN}
    [held] = server.repos["user/mine"].commits.values()
    assert sorted(held) == ["README.md", CONFIG, WEIGHTS]
    assert _what(load("user/mine", token=GIVEN)) == reference


if __name__ == "__main__":
    _answer_jobs()
