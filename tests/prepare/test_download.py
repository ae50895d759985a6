from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from audiobag.prepare.download import download, is_address
from tests.prepare.conftest import Prepare, pack

CONTENT = bytes(range(256)) * 40


class Server(ThreadingHTTPServer):
    """Serves `content` under any name but /absent.tar; can break off, and can ignore ranges."""

    content = CONTENT
    tag = '"one"'
    ranges = True
    break_off: list[int]
    """Number of bytes of each of the next answers before the connection breaks."""
    asked: list[str | None]
    """The ranges that were requested."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/features.tar.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.path == "/absent.tar":
            return self.send_error(404)
        start, content = 0, self.server.content
        same = self.headers.get("If-Range") == self.server.tag
        if wanted and self.server.ranges and same:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", self.server.tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        limit = self.server.break_off.pop(0) if self.server.break_off else len(content)
        self.wfile.write(content[start : start + limit])
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked, server.break_off = [], []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: Server, folder: Path) -> Path:
    return download(server.address, folder, lambda here, total: None, wait=0)


def test_a_file_is_downloaded_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(server.address, tmp_path, lambda *progress: seen.append(progress), wait=0)
    assert path == tmp_path / "features.tar.gz"
    assert path.read_bytes() == CONTENT
    assert (seen[0], seen[-1]) == ((0, len(CONTENT)), (len(CONTENT), len(CONTENT)))
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None]
    assert {p.name for p in tmp_path.iterdir()} == {"features.tar.gz", "features.tar.gz.json"}


def test_a_file_of_another_address_is_not_taken_for_it(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)
    server.content, server.tag = CONTENT[::-1], '"two"'
    server.break_off = [1000, 0, 0, 0, 0]
    other = server.address.replace("features", "v2/features")
    with pytest.raises(ValueError, match="broke off"):
        download(other, tmp_path, lambda *_: None, wait=0)
    assert download(other, tmp_path, lambda *_: None, wait=0).read_bytes() == CONTENT[::-1]
    server.content = CONTENT
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_two_processes_do_not_write_to_one_file(server: Server, tmp_path: Path) -> None:
    def second(*_: object) -> None:
        with pytest.raises(
            ValueError, match=r"another process is downloading http.*features\.tar\.gz to .*: wait until"
        ):
            get(server, tmp_path)

    assert download(server.address, tmp_path, second, wait=0).read_bytes() == CONTENT


def test_a_broken_download_is_resumed(server: Server, tmp_path: Path) -> None:
    server.break_off = [1000, 500]
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_the_next_run_resumes_the_download(server: Server, tmp_path: Path) -> None:
    server.break_off = [1000, 0, 0, 0, 0]
    with pytest.raises(ValueError, match=r"broke off 5 times .*run the command again to resume it"):
        get(server, tmp_path)
    assert not (tmp_path / "features.tar.gz").exists()
    server.asked.clear()
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_server_without_ranges_sends_the_file_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.break_off = [1000]
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]


@pytest.mark.parametrize("size", [len(CONTENT), 700])
def test_parts_of_two_versions_are_not_joined(server: Server, tmp_path: Path, size: int) -> None:
    server.break_off = [1000, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="broke off"):
        get(server, tmp_path)
    server.content, server.tag = CONTENT[::-1][:size], '"two"'
    assert get(server, tmp_path).read_bytes() == server.content


def test_a_part_longer_than_the_file_is_discarded(server: Server, tmp_path: Path) -> None:
    server.break_off = [1000, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="broke off"):
        get(server, tmp_path)
    server.content = CONTENT[:700]
    assert get(server, tmp_path).read_bytes() == CONTENT[:700]
    assert server.asked[-2:] == ["bytes=1000-", None]


def test_a_missing_file_is_refused(server: Server, tmp_path: Path) -> None:
    for name, found in (("absent.tar", "the server answered 404 Not Found"), ("", "names no file")):
        address = f"{server.address.rpartition('/')[0]}/{name}"
        with pytest.raises(ValueError, match=found):
            download(address, tmp_path, lambda *_: None, wait=0)


def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as gone:
        address = gone.address
    with pytest.raises(ValueError, match="broke off 5 times"):
        download(address, tmp_path, lambda *_: None, wait=0)


def test_only_http_urls_are_addresses() -> None:
    assert is_address("https://example.org/a.tar")
    assert not is_address("file:///etc/passwd")
    assert not is_address("data/a.tar")


def test_a_release_is_prepared_from_its_address(server: Server, release: Path, run: Prepare, tmp_path: Path) -> None:
    server.content = pack(release, tmp_path / "release.tar.gz").read_bytes()
    summary = run(server.address)
    assert [(split.name, split.clips) for split in summary.splits] == [("bal_train", 12), ("eval", 6)]
    assert (tmp_path / "out" / ".download" / "features.tar.gz").exists()
    assert run(server.address).unchanged
    assert server.asked == [None]
