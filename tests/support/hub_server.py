"""A hub on this machine that takes datasets: the few routes that an upload needs, with faults by script."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tests.support.llm_answers import Json

TOKEN = "hf_" + "t" * 34
_ROUTES = (
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("GET", r"/api/datasets/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<branch>[^/]+))?", "info"),
    ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/branch/(?P<branch>[^/]+)", "make_branch"),
    ("GET", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/tree/(?P<branch>[^/]+)", "tree"),
    ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/preupload/(?P<branch>[^/]+)", "preupload"),
    ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/commit/(?P<branch>[^/]+)", "commit"),
    ("POST", r"/datasets/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/lfs/(?P<oid>\w+)", "lfs_upload"),
)


@dataclass
class Fault:
    """What meets the next requests of a route: a status, or the connection closed before or after the work is done."""

    route: str
    kind: int | Literal["drop", "drop_after"]
    times: int = 1
    words: str = "so it is"


@dataclass
class Repo:
    """A dataset: whether it is private, and for each branch its commits, each with all files then there."""

    private: bool
    branches: dict[str, list[dict[str, bytes]]] = field(default_factory=lambda: {"main": [{}]})

    def files(self, branch: str = "main") -> dict[str, bytes]:
        """The files of a branch as they are now."""
        return self.branches[branch][-1]

    def sha(self, branch: str) -> str:
        """The newest commit of a branch."""
        return hashlib.sha1(f"{branch} {len(self.branches[branch])}".encode(), usedforsecurity=False).hexdigest()


@dataclass
class Hub:
    """What is kept, what was asked, and what will go wrong."""

    url: str = ""
    lfs: bool = False
    """Parquet files go the way of large files."""
    repos: dict[str, Repo] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The route of each request."""
    sent: list[str] = field(default_factory=list)
    """The path of each file that came with a commit."""
    stored: dict[str, bytes] = field(default_factory=dict)
    """Large files by their SHA-256."""

    def fault(self, route: str) -> Fault | None:
        """The fault of this request, one time less from now on."""
        found = next((fault for fault in self.faults if fault.route == route and fault.times), None)
        if found:
            found.times -= 1
        return found

    def create(self, body: Json) -> tuple[int, Json]:
        name = f"{body.get('organization') or 'me'}/{body['name']}"
        told = {"url": f"{self.url}/datasets/{name}", "name": name}
        if name in self.repos:
            return 409, {**told, "error": "You already created this dataset repo"}
        self.repos[name] = Repo(body.get("visibility") == "private" or bool(body.get("private")))
        return 200, told

    def validate(self, body: Json) -> tuple[int, Json]:
        return 200, {"errors": [], "warnings": []}

    def info(self, body: Json, repo: str, branch: str | None) -> tuple[int, Json]:
        found = self.repos[repo]
        return 200, {"id": repo, "sha": found.sha(branch or "main"), "private": found.private, "tags": []}

    def make_branch(self, body: Json, repo: str, branch: str) -> tuple[int, Json]:
        branches = self.repos[repo].branches
        if branch in branches:
            return 409, {"error": "Reference already exists"}
        branches[branch] = [dict(branches["main"][-1])]
        return 200, {}

    def tree(self, body: Json, repo: str, branch: str) -> tuple[int, list[Json]]:
        files = self.repos[repo].files(branch).items()
        return 200, [{"type": "file", "path": path, "size": len(data), "oid": _blob(data)} for path, data in files]

    def preupload(self, body: Json, repo: str, branch: str) -> tuple[int, Json]:
        files = self.repos[repo].files(branch)
        return 200, {"files": [self._mode(asked["path"], files) for asked in body["files"]]}

    def _mode(self, path: str, files: dict[str, bytes]) -> Json:
        large = self.lfs and path.endswith(".parquet")
        told = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        if path not in files:
            return told
        return {**told, "oid": hashlib.sha256(files[path]).hexdigest() if large else _blob(files[path])}

    def commit(self, body: list[Json], repo: str, branch: str) -> tuple[int, Json]:
        kept = self.repos[repo]
        if body[0]["value"].get("parentCommit", kept.sha(branch)) != kept.sha(branch):
            return 412, {"error": "A commit has happened since"}
        files = dict(kept.files(branch))
        for line in body[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            if line["key"] in ("file", "lfsFile"):
                self.sent.append(value["path"])
        kept.branches[branch].append(files)
        return 200, {"commitUrl": f"{self.url}/datasets/{repo}/commit/x", "commitOid": kept.sha(branch)}

    def lfs_batch(self, body: Json, repo: str) -> tuple[int, Json]:
        objects = [
            {**wanted, **({} if wanted["oid"] in self.stored else self._where_to(wanted["oid"]))}
            for wanted in body["objects"]
        ]
        return 200, {"transfer": "basic", "objects": objects}

    def _where_to(self, oid: str) -> Json:
        return {"actions": {"upload": {"href": f"{self.url}/lfs/{oid}"}}}

    def lfs_upload(self, body: bytes, oid: str) -> tuple[int, Json]:
        self.stored[oid] = body
        return 200, {}


@contextlib.contextmanager
def serve_hub(lfs: bool = False) -> Iterator[Hub]:
    """A hub while the block runs; it knows one token, `TOKEN`."""
    hub = Hub(lfs=lfs)
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def _answer(self, method: str) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        route, names = _find_route(method, self.path.partition("?")[0])
        self.hub.asked.append(route)
        fault = self.hub.fault(route)
        if fault and fault.kind == "drop":
            return
        if route and isinstance(fault.kind if fault else None, int):
            assert fault is not None
            self._send(int(fault.kind), {"error": fault.words})
        elif route != "lfs_upload" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid username or password."})
        elif not route or ("repo" in names and names["repo"] not in self.hub.repos):
            self._send(404, {"error": "Not found"})
        else:
            status, told = getattr(self.hub, route)(_read(route, raw), **names)
            if not fault:
                self._send(status, told)

    def _send(self, status: int, told: object) -> None:
        data = json.dumps(told).encode()
        self.send_response(status)
        if isinstance(told, dict) and "error" in told:
            self.send_header("X-Error-Message", told["error"])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _find_route(method: str, path: str) -> tuple[str, dict[str, Any]]:  # Any: parts of the path, or none
    for verb, pattern, name in _ROUTES:
        found = re.fullmatch(pattern, path)
        if found and verb == method:
            return name, found.groupdict()
    return "", {}


def _read(route: str, raw: bytes) -> Any:  # Any: JSON, or bytes
    if route == "lfs_upload":
        return raw
    if route == "commit":
        return [json.loads(line) for line in raw.splitlines()]
    return json.loads(raw) if raw else {}


def _blob(data: bytes) -> str:
    """The name that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
