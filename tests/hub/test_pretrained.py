"""`from_pretrained` and `push_to_hub` take the options that Hub users know."""

import dataclasses

import pytest
from conftest import small_net
from hub_server import HubServer, Repo
from huggingface_hub import constants

import aia

OWN = "hf_OfThisTestAlone"


@pytest.fixture
def server(monkeypatch):
    with HubServer() as running:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, running.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the server has no such storage
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


@pytest.mark.slow
def test_a_model_is_pushed_and_loaded_with_a_token_into_a_cache_of_ones_own(server, tmp_path):
    server.repos["user/own"] = Repo(token=OWN)
    net, cache = small_net("c", arch="mobilenet_v2"), tmp_path / "cache"
    with pytest.raises(aia.AIAError, match="set HF_TOKEN"):
        net.push_to_hub("user/own")
    assert "/user/own/commit/" in net.push_to_hub("user/own", token=OWN)
    with pytest.raises(aia.AIAError, match="neither a folder here nor a public repository"):
        aia.AIANet.from_pretrained("user/own", cache_dir=cache, device="cpu")
    loaded = aia.AIANet.from_pretrained("user/own", cache_dir=cache, device="cpu", token=OWN)
    assert loaded.config == net.config and {request.token for request in server.requests[-2:]} == {OWN}
    assert (cache / "models--user--own").is_dir()
    net.config = dataclasses.replace(net.config, threshold=0.25)  # what is saved is what the network has now
    net.save_pretrained(tmp_path / "changed")
    assert aia.load(tmp_path / "changed", device="cpu").config.threshold == 0.25


@pytest.mark.slow
def test_only_the_cache_is_read_or_files_are_fetched_again_on_request(server, tmp_path):
    options = {"cache_dir": tmp_path / "cache", "device": "cpu"}
    net = small_net("c", arch="mobilenet_v2")
    for labels in (("a", "b", "c"), ("d", "e", "f")):
        net.save_pretrained(tmp_path / labels[0], config=dataclasses.replace(net.config, labels=labels))
    server.commit("user/repo", {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()})
    with pytest.raises(aia.AIAError, match="not in the Hub's cache"):
        aia.AIANet.from_pretrained("user/repo", local_files_only=True, **options)
    assert not server.requests
    aia.AIANet.from_pretrained("user/repo", **options)
    server.commit("user/repo", {file.name: file.read_bytes() for file in (tmp_path / "d").iterdir()})
    server.requests.clear()
    assert aia.AIANet.from_pretrained("user/repo", local_files_only=True, **options).config.labels == ("a", "b", "c")
    aia.AIANet.from_pretrained("user/repo", local_files_only=True, force_download=True, **options)
    assert not server.requests
    assert aia.AIANet.from_pretrained("user/repo", force_download=True, **options).config.labels == ("d", "e", "f")


def test_a_push_without_a_repository_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(aia.AIAError, match="give repo_id, such as user/repo"):
        small_net("c").save_pretrained(tmp_path / "my-model", push_to_hub=True)
    assert not (tmp_path / "my-model").exists()
