"""Pushing a model folder: what lies in it arrives as it is, and nothing else, and no token is shown."""

import logging

import huggingface_hub
import pytest
from conftest import clip_of, moving_frames, small_net
from hub_server import HubServer, Repo

import aia
from aia.cli import main
from aia.hub.push import push

TOKEN = "hf_OfThisTestAlone"
CARD = "---\nlibrary_name: aia-studio\npipeline_tag: video-classification\n---\n\n# Mine\n\n![Curves](curves.svg)\n"


@pytest.fixture
def server(monkeypatch):
    with HubServer() as running:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", running.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # the server has no such storage
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    net = small_net(arch="mobilenet_v2")
    net.reference = aia.compute_reference(net, [clip_of(moving_frames(8, seed=seed)) for seed in range(2)])
    net.save_pretrained(path)
    return path


@pytest.fixture
def folder(weights, tmp_path):
    path = tmp_path / "mine"
    path.mkdir()
    for file in weights.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    (path / "README.md").write_text(CARD)
    (path / "curves.svg").write_text("<svg/>")
    (path / "cache").mkdir()
    for kept in ("state.pt", "notes.txt", "cache/clip.npy", "cache/clip.png"):
        (path / kept).write_text("private")
    return path


def said(capsys, caplog) -> str:
    out = capsys.readouterr()
    text = out.out + out.err + caplog.text
    assert TOKEN not in text
    return out.err if out.err else out.out


@pytest.mark.slow
def test_a_folder_arrives_with_its_own_card_and_pictures_and_nothing_else(server, folder, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    assert main(["push", str(folder), "user/mine"]) == 0
    assert f"{server.url}/user/mine/commit/" in capsys.readouterr().out and TOKEN not in caplog.text
    [held] = server.repos["user/mine"].commits.values()
    assert sorted(held) == ["README.md", "config.json", "curves.svg", "model.safetensors", "reference.safetensors"]
    assert held == {name: (folder / name).read_bytes() for name in held}
    assert {request.token for request in server.asked() if request.method == "POST"} == {TOKEN}


@pytest.mark.slow
def test_a_reference_of_older_weights_does_not_stay_and_a_branch_is_made(server, folder):
    push(folder, "user/mine")
    (folder / "reference.safetensors").unlink()
    push(folder, "user/mine", branch="next")
    repo = server.repos["user/mine"]
    held = {ref: repo.commits[commit] for ref, commit in repo.refs.items()}
    assert "reference.safetensors" in held["main"] and "reference.safetensors" not in held["next"]
    with pytest.raises(aia.AIAError, match="give a branch or create_pr, not both"):
        push(folder, "user/mine", branch="next", create_pr=True)


@pytest.mark.slow
def test_a_repository_that_the_token_may_not_write_to_is_said(server, folder, capsys, caplog):
    server.repos["user/other"] = Repo(token="hf_SomebodyElse")
    assert main(["push", str(folder), "user/other"]) == 1
    assert "HF_TOKEN" in said(capsys, caplog)
    assert not server.repos["user/other"].commits


@pytest.mark.slow
def test_what_cannot_be_pushed_is_said_in_a_sentence_before_anything_travels(
    server, folder, capsys, caplog, monkeypatch
):
    for damage, repo, word in (
        (None, "no-user", "user/repo"),
        (None, "user/../repo", "user/repo"),
        ("README.md", "user/mine", "card"),
        ("model.safetensors", "user/mine", "model.safetensors"),
    ):
        if damage:
            (folder / damage).unlink()
        assert main(["push", str(folder), repo]) == 1
        assert word in said(capsys, caplog), repo
    assert main(["push", str(folder / "gone"), "user/mine"]) == 1
    assert "gone" in said(capsys, caplog)
    monkeypatch.delenv("HF_TOKEN")
    assert main(["push", str(folder), "user/mine"]) == 1
    assert "HF_TOKEN" in said(capsys, caplog)
    assert not server.requests


def test_a_hub_that_does_not_answer_is_said(server, folder, capsys, caplog):
    server.stop()
    try:
        assert main(["push", str(folder), "user/mine"]) == 1
        assert "connection" in said(capsys, caplog)
    finally:
        server.start()
