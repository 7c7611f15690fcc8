"""The page behind a reverse proxy: all of it works, and every address that it makes leads through the proxy."""

import ast
import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import web
from browser import PATIENCE
from conftest import ROOT, serving
from gradio_client import Client, handle_file
from playwright.sync_api import expect
from proxy import Proxy

from app import text

pytestmark = pytest.mark.long  # what it promises is for those who stand behind a proxy

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
ALL = "127.0.0.1:{port}"  # the Host as a browser sends it
WAYS = {  # what the proxy does; a path is told to the page as GRADIO_ROOT_PATH, with a slash at its other end
    "bare": {},
    "host without the port": {"host": "127.0.0.1"},
    "forwarded": {"X_Forwarded_For": "192.0.2.7", "X_Forwarded_Host": ALL, "X_Forwarded_Proto": "http"},
    "forwarded without the port": {"X_Forwarded_For": "192.0.2.7", "X_Forwarded_Host": "127.0.0.1"},
    "https is said": {"host": ALL, "X_Forwarded_Proto": "https"},
    "https, unsaid": {"host": ALL, "tls": True},
    "path": {"path": "/studio", "host": ALL},
    "path that is kept": {"path": "/studio", "host": ALL, "keeps_path": True},
    "path, https, unsaid": {"path": "/studio", "host": "127.0.0.1", "tls": True},
}
# The others differ from these in one header or in the path, and programs or the page's first answer go through them below.
IN_A_BROWSER = ["bare", "path, https, unsaid", "forwarded without the port", "https is said", "path that is kept"]


@pytest.fixture(scope="module")
def pages(shipped_page, tmp_path_factory):
    """The page's address by its GRADIO_ROOT_PATH."""
    with serving(tmp_path_factory.mktemp("studio"), GRADIO_ROOT_PATH="studio/") as address:
        yield {"": shipped_page, "/studio": address}


@pytest.fixture
def proxy(pages, request, tmp_path):
    options = dict(WAYS[request.param])
    with Proxy(**{**options, "tls": tmp_path if options.pop("tls", False) else None}) as started:
        started.upstream = pages[options.get("path", "")]
        yield started


class Visit:
    """A browser's page, with every address that it asked and that did not answer well."""

    def __init__(self, browser, address: str) -> None:
        self.page = browser.new_page(ignore_https_errors=True)
        self.page.set_default_timeout(PATIENCE)
        self.asked, self.failed = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", lambda answer: self.failed.append(answer.url) if answer.status >= 400 else None)
        self.page.goto(address)

    def wait_for_channels(self, example: str) -> None:
        self.page.wait_for_function(
            "(example) => { const a = document.querySelector('.viewer')?.viewer?.answers[0];"
            " return a?.link.example === example && (a.lost || a.channelBytes?.length > 0); }",
            arg=example,
        )
        assert not self.page.evaluate("document.querySelector('.viewer').viewer.answers[0].lost"), "lost on the way"

    def asked_nothing_but(self, address: str) -> None:
        elsewhere = [url for url in self.asked if not url.startswith((f"{address}/", "data:", "blob:"))]
        for urls in (elsewhere, self.failed):  # Gradio asks for its manifest at the root
            assert [url for url in urls if not url.endswith("/manifest.json")] == []


@pytest.mark.parametrize("proxy", IN_A_BROWSER, indirect=True)
def test_behind_a_proxy_the_page_works_and_asks_nothing_but_the_proxy(proxy, browser):
    visit = Visit(browser, f"{proxy.address}/?opacity=0.4")
    page = visit.page
    visit.wait_for_channels("swipe-left")
    page.get_by_text("star", exact=True).first.click()
    visit.wait_for_channels("star")
    expect(page.locator("#clip video")).to_have_js_property("readyState", 4, timeout=PATIENCE)  # it plays
    page.locator("#clip").get_by_label("Clear").click()
    page.locator("#clip input[type=file]").first.set_input_files(str(EXAMPLE))
    visit.wait_for_channels("swipe-left")
    page.get_by_role("tab", name="Learn").click()
    expect(page.locator("#tab-learn, .learn").first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("tab", name="Export").click()
    page.locator("#make").click()
    link = page.locator("#file a[download]").first
    assert link.evaluate("async (link) => (await (await fetch(link.href)).blob()).size") > 1000
    visit.asked_nothing_but(proxy.address)
    page.close()


@pytest.mark.parametrize("proxy", ["path, https, unsaid", "host without the port"], indirect=True)
def test_the_programs_that_the_page_shows_have_the_address_in_the_browsers_bar(proxy, browser):
    visit = Visit(browser, f"{proxy.address}/")
    page = visit.page
    visit.wait_for_channels("swipe-left")
    visit.asked_nothing_but(proxy.address)
    page.get_by_text("Use via API").click()
    shown = page.locator(".api-docs")
    expect(shown).to_contain_text("MCP Server URL", timeout=PATIENCE)  # an earlier click breaks Gradio's panel
    words = shown.inner_html()
    shown.get_by_text("Python", exact=True).first.click()
    expect(shown).to_contain_text("gradio_client import Client", timeout=PATIENCE)
    addresses = set(re.findall(r"https?://127[^\s\"'\\<]*", words + shown.inner_html()))
    assert addresses and {url for url in addresses if not f"{url}/".startswith(f"{proxy.address}/")} == set()
    page.close()


@pytest.mark.parametrize("proxy", ["path", "path that is kept", "forwarded"], indirect=True)
def test_programs_and_tools_work_through_a_proxy_that_passes_the_host_on(proxy):
    client = Client(f"{proxy.address}/", verbose=False)
    assert client.predict(video=handle_file(str(EXAMPLE)), api_name="/classify")["label"] == "swipe left"
    figure = client.predict(video=handle_file(str(EXAMPLE)), format="frame.png", view={}, api_name="/export_view")
    assert Path(figure).read_bytes().startswith(b"\x89PNG")
    with EXAMPLE.open("rb") as file:
        (path,) = web.post(f"{proxy.address}/gradio_api/upload", files={"files": file}).json()

    async def made():
        from mcp import ClientSession
        from mcp.client.streamable_http import streamable_http_client

        async with streamable_http_client(f"{proxy.address}/gradio_api/mcp/") as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                clip = f"{proxy.address}/gradio_api/file={path}"
                return [
                    await session.call_tool("classify", {"video": clip}),
                    await session.call_tool("inspect", {"video": clip}),
                ]

    with ThreadPoolExecutor(1) as pool:  # the browser's tests have an event loop in this thread
        classified, inspected = pool.submit(asyncio.run, made()).result()
    assert ast.literal_eval(classified.content[0].text)["label"] == "swipe left"
    files = re.findall(r"https?://[^\s'\"]+", " ".join(content.text for content in inspected.content))
    assert len(files) == 2 and all(url.startswith(f"{proxy.address}/gradio_api/file=") for url in files), files
    assert all(web.get(url).status_code == 200 for url in files)


def test_the_address_for_tools_opened_in_a_browser_says_one_sentence(shipped_page):
    for path in ("mcp", "mcp/", "mcp/http"):
        answer = web.get(f"{shipped_page}/gradio_api/{path}", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.json()["detail"]) == (406, text.FOR_TOOLS)
    assert web.get(f"{shipped_page}/gradio_api/mcp/schema").status_code == 200


def test_a_root_path_may_have_its_slashes_or_not(pages):
    address = pages["/studio"]
    for place in (address, f"{address}/studio"):  # with the path taken off, and with it kept
        assert web.get(f"{place}/config").json()["root"] == f"{address}/studio"
        assert 'id="first-paint"' in web.get(f"{place}/").text
        assert web.get(f"{place}/monitoring").status_code == 404


def test_nobody_chooses_the_address_that_others_are_told(tmp_path):
    forged = [{name: "evil.example"} for name in ("Host", "X-Forwarded-Host")]
    forged += [{name: "https://evil.example/"} for name in ("X-Gradio-Server", "Referer")]
    places = ["/", "/config", *(f"/gradio_api/{name}" for name in ("info", "info/", "info?all_endpoints=true"))]
    places += [f"/gradio_api/{name}" for name in ("info?page=x", "openapi.json", "mcp/schema")]
    with serving(tmp_path) as address:
        for headers in forged:  # before anybody else
            for place in places:
                web.get(address + place, headers=headers)
        told = {place: web.get(address + place).text for place in places}
    assert [place for place, answer in told.items() if "evil.example" in answer] == []
    assert f'Client(\\"{address}\\")' in told["/gradio_api/info"]
