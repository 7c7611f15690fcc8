"""The menu of a page that takes any model lists the Hub's models; a silent Hub or an odd list leaves the page as it is."""

from __future__ import annotations

import pytest
import web
from browser import PATIENCE
from conftest import serving, small_net
from hub_server import LIST, Fault, HubServer
from playwright.sync_api import expect

LISTED = [
    {"id": "user/good", "likes": 3, "pipeline_tag": "video-classification"},
    {"id": "user/../../etc"},
    {"id": "<img src=x onerror=alert(1)>/x", "likes": 9},
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub with one model that fits, in a list with names that do not."""
    folder = tmp_path_factory.mktemp("model")
    small_net("c").save_pretrained(folder)
    with HubServer() as running:
        running.listed = LISTED
        running.commit("user/good", {file.name: file.read_bytes() for file in folder.iterdir()})
        yield running


@pytest.fixture(scope="module")
def page_address(hub, tmp_path_factory):
    with page_of(hub, tmp_path_factory.mktemp("free")) as address:
        yield address


def page_of(hub: HubServer, home):
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(home / "hub"),
    }
    return serving(home, "--allow-any-model", **environment)


def opened(browser, address: str):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers.length === 1")
    return page


@pytest.mark.long
def test_a_model_of_the_hub_is_in_the_menu_and_answers_when_it_is_chosen(hub, page_address, browser):
    page = opened(browser, page_address)
    page.locator("#model input").click()
    entries = page.get_by_test_id("dropdown-option").filter(has_text="Hub ·")
    expect(entries).to_contain_text(["Hub · user/good (video-classification, 3 likes)"], timeout=PATIENCE)
    entries.click()
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.model === 'user/good'")
    assert hub.asked("model.safetensors")
    page.close()


@pytest.mark.long
def test_who_comes_through_a_proxy_gets_the_menu_without_the_hub(page_address):
    """The permission is that of a typed name."""
    for headers, choices in (({}, True), ({"X-Forwarded-For": "1.2.3.4"}, False)):
        assert ("user/good" in menu_after_opening(page_address, headers)) is choices


def menu_after_opening(address: str, headers: dict[str, str]) -> str:
    config = web.get(f"{address}/config").json()
    (menu,) = (part["id"] for part in config["components"] if part["props"].get("elem_id") == "model")
    (event,) = (one for one in config["dependencies"] if one["outputs"] == [menu] and not one["inputs"])
    session = f"menu{len(headers)}"
    body = {"data": [], "fn_index": event["id"], "session_hash": session}
    web.post(f"{address}/gradio_api/queue/join", json=body, headers=headers).raise_for_status()
    return web.get(f"{address}/gradio_api/queue/data", params={"session_hash": session}).text


@pytest.mark.long
def test_a_hub_that_never_answers_holds_nothing_up(browser, tmp_path):
    with HubServer() as silent:
        silent.faults[LIST] = Fault(hang=True)
        with page_of(silent, tmp_path) as address:
            page = opened(browser, address)
            page.locator("#model input").click()
            expect(page.get_by_test_id("dropdown-option").first).to_be_visible(timeout=PATIENCE)
            assert "Hub ·" not in page.locator("body").inner_text()
            page.close()
