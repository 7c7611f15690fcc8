"""Who may name a model that the page does not offer: nobody, or with --allow-any-model whoever opens the page directly."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import web
from browser import PATIENCE
from conftest import ROOT, serving, small_net, until
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import expect
from proxy import Proxy

import aia
from aia.hub import DEFAULT_MODEL
from app import text
from app.server.guard import is_from_elsewhere
from app.service import models
from tools.chromium import FLAGS, find_chromium

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model that no page offers, and a folder that is not there."""
    home = tmp_path_factory.mktemp("models")
    small_net("stinc").save_pretrained(home / "own model")
    return home / "own model", home / "not there"


@pytest.fixture(scope="module")
def free_page(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("free"), "--allow-any-model") as address:
        yield address


def choose(address: str, name: str, session: str = "somebody", *, headers: dict | None = None) -> str:
    """What a visitor is told who names a model through the page's menu; "" if it was accepted."""
    config = web.get(f"{address}/config").json()
    (menu,) = (part["id"] for part in config["components"] if part["props"].get("elem_id") == "model")
    (event,) = (one for one in config["dependencies"] if [menu, "input"] in one["targets"])
    body = {"data": [name, *[None] * (len(event["inputs"]) - 1)], "fn_index": event["id"], "session_hash": session}
    web.post(f"{address}/gradio_api/queue/join", json=body, headers=headers).raise_for_status()
    return outcome(address, session)


def outcome(address: str, session: str) -> str:
    stream = web.get(f"{address}/gradio_api/queue/data", params={"session_hash": session}).text
    (done,) = (line for line in stream.splitlines() if "process_completed" in line)
    return json.loads(done.removeprefix("data: "))["output"].get("error") or ""


def refused(address: str, folders: tuple[Path, Path], **options) -> str:
    """The one sentence that refuses both an existing and a missing model, if asked in this way."""
    told = {choose(address, str(folder), **options).replace(str(folder), "...") for folder in folders}
    (sentence,) = told
    return sentence


def visit(browser, address: str, asked: list[str] | None = None):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("request", lambda request: None if asked is None else asked.append(request.url))
    page.goto(address)
    page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers.length === 1")
    return page


def type_model(page, name: Path) -> None:
    page.locator("#model input").fill(str(name))
    page.locator("#model input").press("Enter")


# ---- without the option


@pytest.mark.long
def test_behind_a_bare_proxy_with_its_address_as_root_the_page_works_and_nobody_names_a_model_or_learns_of_folders(
    folders, browser, tmp_path
):
    with Proxy() as proxy, serving(tmp_path, GRADIO_ROOT_PATH=proxy.address) as proxy.upstream:
        for address in (proxy.address, proxy.upstream):
            assert refused(address, folders) == text.BAD_INPUT
            config = web.get(f"{address}/config").json()
            assert not any(part["props"].get("allow_custom_value") for part in config["components"])
        client = Client(proxy.upstream, verbose=False)
        for folder in folders:
            with pytest.raises(AppError, match="There is no model"):
                client.predict(video=handle_file(str(EXAMPLE)), model=str(folder), api_name="/classify")
        assert web.get(f"{proxy.address}/config").json()["root"] == proxy.address
        page = visit(browser, f"{proxy.address}/?model={folders[0]}", asked := [])
        expect(page.locator("#problem")).to_contain_text("which this page does not have", timeout=PATIENCE)
        page.locator("#model input").fill(str(folders[0]))
        page.locator("#model input").press("Enter")
        page.wait_for_timeout(500)
        page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].channelBytes?.length")
        assert [url for url in asked if proxy.upstream in url] == []
        assert page.evaluate("document.querySelector('.viewer').viewer.answers[0].link.model") == DEFAULT_MODEL
        page.close()
        names = [model["name"] for model in client.predict(api_name="/list_models")]
        assert sorted(names) == list(aia.available_models())


def test_a_space_refuses_the_option_with_a_sentence():
    command = [sys.executable, "app.py", "--allow-any-model"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "SPACE_ID": "someone/space"}, capture_output=True, text=True
    )
    assert done.returncode == 2 and text.NOT_ON_A_SPACE in done.stderr and "Traceback" not in done.stderr


# ---- with the option


@pytest.mark.long
def test_a_model_that_a_visitor_brings_in_is_on_no_other_visitors_list(free_page, folders, browser):
    own, missing = folders
    first, second = visit(browser, free_page), visit(browser, free_page)
    type_model(first, missing)
    expect(first.get_by_test_id("toast-body").first).to_contain_text("give a folder, a shipped name", timeout=PATIENCE)
    type_model(first, own)
    first.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.model.endsWith('own model')")
    first.get_by_role("tab", name="What if").click()
    first.locator("#switch").click()
    first.wait_for_function("document.querySelector('.viewer').viewer.answers.length === 2")
    expect(first.locator("#ranking")).to_contain_text("changes most at block", timeout=PATIENCE)
    first.get_by_role("tab", name="Compare").click()
    expect(first.locator("#other-model input")).to_have_value(re.compile(f"{own.name}$"), timeout=PATIENCE)
    first.locator("#run-compare").click()
    expect(first.locator("#compared section")).to_contain_text("backwards", timeout=PATIENCE)

    second.get_by_role("tab", name="Compare").click()
    shipped = models.offered()
    for menu, entries in (("#model", models.menu(shipped)), ("#other-model", models.choices(shipped))):
        second.locator(f"{menu} input").click()
        expect(second.get_by_test_id("dropdown-option")).to_have_count(len(entries), timeout=PATIENCE)
        second.locator(f"{menu} input").press("Escape")
    client = Client(free_page, verbose=False)
    assert str(own) not in [model["name"] for model in client.predict(api_name="/list_models")]
    for folder in folders:
        with pytest.raises(AppError, match="There is no model"):
            client.predict(video=handle_file(str(EXAMPLE)), model=str(folder), api_name="/classify")
    second.goto(f"{free_page}/?model={own}")  # a link, which any site may hold, brings nothing in
    expect(second.locator("#problem")).to_contain_text("which this page does not have", timeout=PATIENCE)
    first.close()
    second.close()


def press(address: str, button: str, session: str, *values) -> str:
    """The stream of answers to a visitor who presses a button; `values`: those of the first inputs of its event."""
    config = web.get(f"{address}/config").json()
    (part,) = (part["id"] for part in config["components"] if part["props"].get("elem_id") == button)
    (event,) = (one for one in config["dependencies"] if [part, "click"] in one["targets"] and one["backend_fn"])
    data = [*values, *[None] * (len(event["inputs"]) - len(values))]
    body = {"data": data, "fn_index": event["id"], "session_hash": session}
    web.post(f"{address}/gradio_api/queue/join", json=body).raise_for_status()
    return web.get(f"{address}/gradio_api/queue/data", params={"session_hash": session}).text


def show(address: str, name: Path, session: str) -> str:
    """The answer to a visitor who uploads a clip and runs a model."""
    with EXAMPLE.open("rb") as file:
        (path,) = web.post(f"{address}/gradio_api/upload", files={"files": file}).json()
    return press(address, "run", session, {"path": path, "meta": {"_type": "gradio.FileData"}}, str(name))


@pytest.mark.long
def test_two_models_that_a_visitor_brings_in_are_both_kept(free_page, folders, tmp_path):
    small_net("cinst").save_pretrained(tmp_path / "second")
    for name in (folders[0], tmp_path / "second"):
        assert choose(free_page, str(name), "brings-two") == ""
    for name in (folders[0], tmp_path / "second"):
        assert "There is no model" not in show(free_page, name, "brings-two")
        assert "There is no model" in show(free_page, name, "brings-none")


@pytest.mark.long
def test_a_model_that_a_visitor_brings_in_outlives_the_results(folders, tmp_path):
    with serving(tmp_path, "--allow-any-model", AIA_DELETE_AFTER_SECONDS="10") as address:
        assert choose(address, str(folders[0]), "stays") == ""
        assert "There is no model" not in show(address, folders[0], "stays")
        until(lambda: "This result is no longer on the server" in press(address, "python-button", "stays"))
        assert "There is no model" not in show(address, folders[0], "stays")


DIRECT = "127.0.0.1:7860"
ELSEWHERE = {
    "a proxy": {"X-Forwarded-For": "1.2.3.4"},
    "a proxy's other words": {"Forwarded": "for=1.2.3.4"},
    "a proxy's port": {"X-Forwarded-Port": "443"},
    "a service before the page": {"CF-Connecting-IP": "1.2.3.4"},
    "the page's other address": {"Referer": "https://studio.example/aia/"},
    "another site's name for this machine": {"Host": "evil.example:7860"},
    "a longer name": {"Host": "127.0.0.1.evil.example"},
    "no name": {"Host": ""},
    "another site": {"Origin": "https://evil.example"},
    "a page without an origin": {"Origin": "null"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "the browser's word for another site": {"Sec-Fetch-Site": "cross-site"},
    "the browser's word for another port": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("headers", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_comes_from_elsewhere_is_refused_and_learns_nothing(free_page, folders, headers):
    assert refused(free_page, folders, headers=headers) == text.NOT_FROM_HERE.format(name="...")
    assert is_from_elsewhere({"host": DIRECT} | {name.lower(): value for name, value in headers.items()})


@pytest.mark.parametrize("host", [DIRECT, "localhost:7860", "localhost", "[::1]:7860", "192.168.1.7:7860"])
def test_what_comes_directly_is_not_from_elsewhere(host):
    assert not is_from_elsewhere({"host": host})
    page = {"origin": f"http://{host}", "referer": f"http://{host}/?lang=en", "sec-fetch-site": "same-origin"}
    assert not is_from_elsewhere({"host": host} | page)


@pytest.mark.long
def test_a_site_that_calls_this_machine_by_its_own_name_brings_nothing_in(free_page, folders, browser):
    rebound = browser.browser_type.launch(
        executable_path=find_chromium()[0], args=[*FLAGS, "--host-resolver-rules=MAP rebound.example 127.0.0.1"]
    )
    page = visit(rebound, free_page.replace("127.0.0.1", "rebound.example"))
    type_model(page, folders[0])
    expect(page.get_by_test_id("toast-body").first).to_contain_text("can be named only where", timeout=PATIENCE)
    rebound.close()


@pytest.mark.long
def test_another_site_that_the_visitor_has_open_brings_nothing_in(free_page, folders, shipped_page, browser):
    """With the same request the page itself brings it in."""
    config = web.get(f"{free_page}/config").json()
    (menu,) = (part["id"] for part in config["components"] if part["props"].get("elem_id") == "model")
    (event,) = (one for one in config["dependencies"] if [menu, "input"] in one["targets"])
    ask = """async ([address, body, mode]) => {
        const headers = mode === "cors" ? {"Content-Type": "application/json"} : {};
        const sent = new Blob([JSON.stringify(body)]);  // of no type: a request that needs nobody's leave
        await fetch(address + "/gradio_api/queue/join", {method: "POST", mode, headers, body: sent}).catch(() => {});
    }"""

    def brings_in(site: str, mode: str) -> bool:
        session = f"{mode}{urlsplit(site).netloc}".replace(".", "-").replace(":", "-")
        page = browser.new_page()
        page.goto(f"{site}/robots.txt")
        body = {"data": [str(folders[0]), None], "fn_index": event["id"], "session_hash": session}
        page.evaluate(ask, [free_page, body, mode])
        page.close()
        stream = web.get(f"{free_page}/gradio_api/queue/data", params={"session_hash": session}).text
        return '"success":true' in stream.replace(" ", "")

    assert brings_in(free_page, "cors")
    # The other port is another origin, the other name another site.
    for site in (shipped_page, shipped_page.replace("127.0.0.1", "localhost")):
        for mode in ("cors", "no-cors"):
            assert not brings_in(site, mode), (site, mode)
