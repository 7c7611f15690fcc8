"""A Hub on this machine: enough of huggingface.co's HTTP interface for the real client, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
API = re.compile(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/([^/]+)")
TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)")
BRANCH = re.compile(r"/api/models/([^/]+/[^/]+)/branch/(.+)")
BATCH = re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch")
LIST = "/api/models"
LARGE = (".safetensors", ".bin")  # what the Hub keeps outside git, under its sha256


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Repo:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # branches and tags
    token: str | None = None  # without it the answer is that there is no such repository, as on the Hub
    gated: bool = False


@dataclass
class Fault:
    """What goes wrong with requests for one file.

    Attributes:
        status: Answer with this status instead.
        methods: Which requests; the others are answered well.
        cut: Announce the whole file, send this many bytes and close the connection.
        short: Announce and send only this many bytes.
        hang: Wait before the first byte, until the server is reset.
        wait: Answer well, but only after this has happened.
        redirect: Send the client to this address (and the file's path) for the body, as the Hub does with large files.
        headers: Further headers of the answer.
        times: How many requests go wrong.
    """

    status: int = 0
    methods: tuple[str, ...] = ("HEAD", "GET")
    cut: int | None = None
    short: int | None = None
    hang: bool = False
    wait: threading.Event | None = None
    redirect: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 10**6


class HubServer:
    """Serves `repos` at `url`.

    Attributes:
        repos: By "user/name".
        requests: All since the last `reset`, in order.
        faults: By file name, or LIST; "*" for every file.
        listed: The list of models: JSON values, or bytes that are sent as they are.
    """

    def __init__(self) -> None:
        self.port = 0
        self.start()
        self.everything: list[Request] = []
        self.reset()

    def reset(self) -> None:
        """Forgets repositories, requests and faults, and lets go of hanging requests."""
        if hasattr(self, "released"):
            self.released.set()
        self.released = threading.Event()
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.faults: dict[str, Fault] = {}
        self.uploads: dict[str, bytes] = {}
        self.listed: list | bytes = []

    def start(self) -> None:
        """Listens, at the same port as before if there was one."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuses connections from now on."""
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> HubServer:
        return self

    def __exit__(self, *args) -> None:
        self.reset()
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def commit(self, name: str, files: dict[str, bytes | None], *refs: str) -> str:
        """Adds or (None) deletes files, in a repository that is made if need be, moves `refs` ("main"), returns the commit."""
        repo = self.repos.setdefault(name, Repo())
        base = repo.commits.get(repo.refs.get("main", ""), {})
        sha = hashlib.sha1(f"{name}{len(repo.commits)}".encode()).hexdigest()
        repo.commits[sha] = {path: data for path, data in {**base, **files}.items() if data is not None}
        repo.refs.update(dict.fromkeys(refs or ("main",), sha))
        return sha

    def asked(self, file: str = "") -> list[Request]:
        """The requests whose path ends so."""
        return [request for request in self.requests if request.path.endswith(file)]


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer  # HTTP/1.0, the default, closes every connection: a stopped server answers nobody

    def log_message(self, *args) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:  # the client gave up
            self.close_connection = True

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        self.answer(status, headers={"X-Error-Code": code, "X-Error-Message": message, **headers} if code else headers)

    def note(self) -> str:
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self.command, self.path, headers)
        self.hub.requests.append(request)
        self.hub.everything.append(request)
        return urlsplit(self.path).path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.note()
        if path == LIST:
            return self.send_list(self.hub.faults.get(LIST, Fault()))
        if match := TREE.fullmatch(path):
            return self.send_names(match[1], unquote(match[2]))
        match = RESOLVE.fullmatch(path)
        if not match:
            return self.refuse(404, "", "")
        name, revision, file = match[1], unquote(match[2]), unquote(match[3])
        fault = self.hub.faults.get(file) or self.hub.faults.get("*") or Fault(times=0)
        if fault.times < 1 or self.command not in fault.methods:
            fault = Fault()
        fault.times -= 1
        if fault.hang:
            self.hub.released.wait(600)
            return None
        if fault.wait:
            fault.wait.wait(600)
        if fault.status:
            return self.answer(fault.status, headers=fault.headers)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        repo = self.hub.repos.get(name)
        if repo is not None and repo.gated and token != repo.token:
            return self.refuse(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted")
        if repo is None or (repo.token and token != repo.token):
            return self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        commit = repo.refs.get(revision, revision)
        if commit not in repo.commits:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if file not in repo.commits[commit]:
            return self.refuse(404, "EntryNotFound", "Entry not found", **{"X-Repo-Commit": commit})
        return self.deliver(repo.commits[commit][file], commit, file, fault)

    def send_list(self, fault: Fault) -> None:
        if fault.hang:
            self.hub.released.wait(600)
            return
        if fault.status:
            return self.answer(fault.status, headers=fault.headers)
        body = self.hub.listed if isinstance(self.hub.listed, bytes) else json.dumps(self.hub.listed).encode()
        self.answer(200, body[: fault.cut], {"Content-Length": str(len(body)), **fault.headers})

    def send_names(self, name: str, revision: str) -> None:
        repo = self.hub.repos[name]
        if revision != "main" and revision not in repo.refs:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repo.commits.get(repo.refs.get(revision, ""), {})
        self.reply([{"type": "file", "path": path, "size": len(data), "oid": ""} for path, data in files.items()])

    def deliver(self, data: bytes, commit: str, file: str, fault: Fault) -> None:
        large = file.endswith(LARGE)
        etag = hashlib.sha256(data) if large else hashlib.sha1(b"blob %d\0" % len(data) + data)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag.hexdigest()}"', "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(len(data))}
        headers |= fault.headers
        if fault.redirect:
            return self.answer(302, headers={**headers, "Location": fault.redirect + self.path})
        if fault.short is not None and self.command == "GET":
            return self.answer(200, data[: fault.short], headers)
        status, part = 200, data
        if (wanted := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) and self.command == "GET":
            status, part = 206, data[int(wanted[1]) :]
            headers["Content-Range"] = f"bytes {wanted[1]}-{len(data) - 1}/{len(data)}"
        headers["Content-Length"] = str(len(part))
        if fault.cut is not None:
            part = part[: fault.cut]
        return self.answer(status, part, headers)

    def do_POST(self) -> None:
        path, body = self.note(), self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            return self.refuse(401, "", "")
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            repo = self.hub.repos.setdefault(name, Repo())
            if repo.token not in (None, token):
                return self.refuse(403, "", f"{token} has no rights to create a model there")
            return self.reply({"url": f"{self.hub.url}/{name}", "name": name})
        if path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        if match := BRANCH.fullmatch(path):
            refs = self.hub.repos[match[1]].refs
            if unquote(match[2]) in refs:
                return self.refuse(409, "", "Reference already exists")
            refs[unquote(match[2])] = refs.get("main", "")
            return self.reply({})
        if BATCH.fullmatch(path):
            objects = [
                {**wanted, "actions": {"upload": {"href": f"{self.hub.url}/upload/{wanted['oid']}"}}}
                for wanted in json.loads(body)["objects"]
            ]
            return self.reply({"transfer": "basic", "objects": objects})
        match = API.fullmatch(path)
        if not match:
            return self.refuse(404, "", "")
        if match[2] == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular"}
                for f in json.loads(body)["files"]
            ]
            return self.reply({"files": [{**f, "shouldIgnore": False, "oid": None} for f in files]})
        files = {}
        for line in body.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            elif item["key"] == "lfsFile":
                files[item["value"]["path"]] = self.hub.uploads[item["value"]["oid"]]
            elif item["key"] == "deletedFile":
                files[item["value"]["path"]] = None
        sha = self.hub.commit(match[1], files, unquote(match[3]))
        return self.reply({"commitUrl": f"{self.hub.url}/{match[1]}/commit/{sha}", "commitOid": sha})

    def do_PUT(self) -> None:
        path = self.note()
        self.hub.uploads[path.removeprefix("/upload/")] = self.read_body()
        self.answer(200)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def reply(self, data: dict | list) -> None:
        self.answer(200, json.dumps(data).encode(), {"Content-Type": "application/json"})
