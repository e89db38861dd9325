"""A loopback stand-in for the W&B server: enough of its protocol for the real client to start, log and finish a run."""

import base64
import gzip
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

Behaviour = Literal["works", "fails", "hangs"]


class WandbServer(ThreadingHTTPServer):
    """Keeps what the client sent; ``behaviour`` may change at any time.

    Attributes:
        runs: The last state of each run by id, as upserted (display name, group, tags, config, ...).
        streams: What each run's file stream sent, by run id: history rows at their offsets, the summary, the exit code.
        files: Uploaded bytes by the name the client asked to upload; of an artifact ``artifact/<name>/<file>``.
        artifacts: What each artifact was created with (type, run, ...), by name.
        views: What each saved workspace was upserted with (display name, spec, ...), by id.
        bodies: Every request's path and decoded body, to search for what must not be sent.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour: Behaviour = "works"
        self.released = threading.Event()  # lets hanging requests go when the test ends
        self.runs: dict[str, dict[str, Any]] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.bodies: list[tuple[str, str]] = []
        self.hangs_at: str | None = None  # from a request on whose path has this in it, the server hangs

    @property
    def url(self) -> str:
        """The base URL for WANDB_BASE_URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent when a client that lost its patience closes the connection."""

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer one GraphQL operation by the field it asks for."""
        for field, resolve in _FIELDS.items():
            if re.search(rf"\b{field}\b", query):
                return resolve(self, variables)
        return {}

    def upload_url(self, name: str) -> str:
        """The address that the client is to PUT a file to."""
        return f"{self.url}/upload/{name}"


def become_a_new_user(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Nothing of W&B in the environment, a home folder without a key, and no crash reports sent."""
    for name in [n for n in os.environ if n.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def log_in(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Point the client at a server, with a key."""
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    server = WandbServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean."""

    def do_GET(self) -> None:
        self._receive()
        self._reply({})

    def do_POST(self) -> None:
        body = self._receive()
        if self._refused():
            return
        if stream := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            self._stream(stream.group(1), json.loads(body))
            self._reply({"exitcode": None, "limits": {}})
        else:
            request = json.loads(body)
            self._reply({"data": self.server.answer(request["query"], request.get("variables") or {})})

    def do_PUT(self) -> None:
        body = self._receive()
        if self._refused():
            return
        self.server.files[self.path.removeprefix("/upload/")] = body
        self._reply({})

    def _receive(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append((self.path, body.decode(errors="replace")))
        return body

    def _refused(self) -> bool:
        if self.server.hangs_at is not None and self.server.hangs_at in self.path:
            self.server.behaviour, self.server.hangs_at = "hangs", None
        if self.server.behaviour == "hangs":
            self.server.released.wait(120)
            self.close_connection = True
            return True
        if self.server.behaviour == "fails":
            self._reply({"errors": [{"message": "out of order"}]}, status=500)
            return True
        return False

    def _reply(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, run_id: str, content: dict[str, Any]) -> None:
        seen = self.server.streams.setdefault(run_id, {"history": [], "summary": {}, "exitcode": None})
        for name, chunk in (content.get("files") or {}).items():
            lines = [json.loads(line) for line in chunk["content"]]
            if name == "wandb-history.jsonl":
                seen["history"][chunk["offset"] : chunk["offset"] + len(lines)] = lines
            elif name == "wandb-summary.json":
                seen["summary"] = lines[-1]
        if content.get("complete"):
            seen["exitcode"] = content["exitcode"]


def _upsert_run(server: WandbServer, variables: dict[str, Any]) -> dict[str, Any]:
    run_id = variables["name"]
    given = {key: value for key, value in variables.items() if value is not None}
    run = server.runs.setdefault(run_id, {}) | given
    server.runs[run_id] = run
    project = {"name": run.get("project"), "entity": {"name": "someone"}}
    bucket = {"id": base64.b64encode(run_id.encode()).decode(), "name": run_id, "displayName": run.get("displayName")}
    bucket |= {"description": "", "config": "{}", "sweepName": None, "project": project, "historyLineCount": 0}
    return {"upsertBucket": {"bucket": bucket, "inserted": True}}


def _resume_status(server: WandbServer, variables: dict[str, Any]) -> dict[str, Any]:
    """What is known of a run, as a client asks that means to append to it."""
    run_id = variables["name"]
    bucket = None
    if run_id in server.runs:
        run, stream = server.runs[run_id], server.streams.get(run_id, {"history": [], "summary": {}})
        tail = json.dumps([json.dumps(row) for row in stream["history"][-1:]])
        bucket = {"id": run_id, "name": run_id, "displayName": run.get("displayName"), "tags": run.get("tags") or []}
        bucket |= {"summaryMetrics": json.dumps(stream["summary"]), "config": run.get("config") or "{}", "notes": None}
        bucket |= {"historyLineCount": len(stream["history"]), "historyTail": tail, "logLineCount": 0}
        bucket |= {"eventsLineCount": 0, "eventsTail": "[]", "wandbConfig": json.dumps({"t": 1})}
    entity = {"id": "e", "name": "someone"}
    return {"model": {"id": "p", "name": variables.get("project"), "entity": entity, "bucket": bucket}}


def _create_artifact(server: WandbServer, variables: dict[str, Any]) -> dict[str, Any]:
    name = variables["input"]["artifactCollectionName"]
    server.artifacts[name] = variables["input"]
    return {"createArtifact": {"artifact": {"id": name, "state": "PENDING", "artifactSequence": {"id": "s"}}}}


def _commit_artifact(server: WandbServer, variables: dict[str, Any]) -> dict[str, Any]:
    server.artifacts[variables["artifactID"]]["committed"] = True
    return {"commitArtifact": {"artifact": {"id": variables["artifactID"], "digest": "d"}}}


def _upsert_view(server: WandbServer, variables: dict[str, Any]) -> dict[str, Any]:
    view_id = variables.get("id") or f"view{len(server.views)}"
    server.views[view_id] = variables
    return {"upsertView": {"view": {"id": view_id, "name": variables["name"]}, "inserted": "id" not in variables}}


def _run_files(server: WandbServer, variables: dict[str, Any]) -> dict[str, Any]:
    files = [{"name": name, "uploadUrl": server.upload_url(name)} for name in variables["files"]]
    return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}


def _manifest(server: WandbServer, variables: dict[str, Any]) -> dict[str, Any]:
    file = {"id": "f", "name": "m", "displayName": "m", "uploadUrl": server.upload_url("manifest"), "uploadHeaders": []}
    return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}


def _artifact_files(server: WandbServer, variables: dict[str, Any]) -> dict[str, Any]:
    edges = [
        {
            "node": {
                "id": spec["name"],
                "name": spec["name"],
                "displayName": spec["name"],
                "uploadUrl": server.upload_url(f"artifact/{spec['artifactID']}/{spec['name']}"),
                "uploadHeaders": [],
                "storagePath": "s",
                "uploadMultipartUrls": None,
                "artifact": {"id": spec["artifactID"]},
            }
        }
        for spec in variables["input"]["artifactFiles"]
    ]
    return {"createArtifactFiles": {"files": {"edges": edges}}}


_FIELDS: dict[str, Any] = {  # the first whose name occurs in the query answers it
    "upsertView": _upsert_view,
    "upsertBucket": _upsert_run,
    "createRunFiles": _run_files,
    "createArtifactManifest": _manifest,
    "createArtifactFiles": _artifact_files,
    "commitArtifact": _commit_artifact,
    "createArtifact": _create_artifact,
    "artifactType": lambda server, variables: {"project": {"artifact": None}},
    "viewer": lambda server, variables: {
        "viewer": {"id": "v", "entity": "someone", "username": "someone", "email": "", "flags": "{}", "teams": None}
    },
    "serverInfo": lambda server, variables: {"serverInfo": {"cliVersionInfo": {}, "features": []}},
    "model": _resume_status,
}
