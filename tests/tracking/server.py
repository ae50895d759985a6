"""A W&B server that keeps the history of runs, as far as `wandb sync` of 0.31 asks for it."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROJECT = {"id": "p", "name": "audiobag", "entity": {"id": "e", "name": "me"}}


@contextmanager
def server() -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield the address of a server, and the rows of the history that each run has there."""
    histories: dict[str, list[str]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.answer({})

        def do_PUT(self) -> None:  # the content of a file
            self.body()
            self.answer({})

        def do_POST(self) -> None:
            content = json.loads(self.body() or b"{}")
            if not self.path.endswith("/file_stream"):
                self.answer(self.graphql(content.get("query", ""), content.get("variables") or {}))
                return
            rows = histories.setdefault(self.path.split("/")[-2], [])
            sent = (content.get("files") or {}).get("wandb-history.jsonl")
            if sent:
                rows[sent["offset"] : sent["offset"] + len(sent["content"])] = sent["content"]
            self.answer({"limits": {}})

        def graphql(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
            found = re.search(r"(?:query|mutation)\s+(\w+)", query)
            name, run = found[1] if found else "", str(given.get("name"))
            if name == "Viewer":
                who = {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
                return {"data": {"viewer": who, "serverInfo": None}}
            if name == "ServerFeaturesQuery":
                return {"data": {"serverInfo": {"features": []}}}
            if name == "RunResumeStatus":
                return {"data": {"model": {**PROJECT, "bucket": self.bucket(run) if run in histories else None}}}
            if name == "UpsertBucket":
                new = run not in histories
                histories.setdefault(run, [])
                return {"data": {"upsertBucket": {"bucket": self.bucket(run), "inserted": new}}}
            if name == "CreateRunFiles":
                urls = [{"name": f, "uploadUrl": f"http://{self.headers['Host']}/{f}"} for f in given.get("files", [])]
                return {"data": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": urls}}}
            return {"data": {}, "errors": [{"message": f"unknown: {name}"}]}

        def bucket(self, run: str) -> dict[str, Any]:
            rows = histories[run]
            empty = {"config": "{}", "summaryMetrics": "{}", "wandbConfig": "{}", "eventsTail": "[]", "tags": []}
            counts = {"historyLineCount": len(rows), "eventsLineCount": 0, "logLineCount": 0}
            about = {"id": "b", "name": run, "displayName": run, "sweepName": None, "project": PROJECT}
            return {**empty, **counts, **about, "historyTail": json.dumps(rows[-1:])}

        def body(self) -> bytes:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

        def answer(self, content: dict[str, Any]) -> None:
            text = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}", histories
        serving.shutdown()
