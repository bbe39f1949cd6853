"""A model hub on this machine: the few answers that fetching a file needs."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class LocalHub:
    """Serves `owner/name/path` to bytes, at `url`.

    break_after: bytes after which a connection is closed, once. requests: (method, path, range).
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.break_after: int | None = None
        self.requests: list[tuple[str, str, str | None]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub._answer(self, with_body=False)

            def do_GET(self) -> None:
                hub._answer(self, with_body=True)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def mirrors_asked(self) -> list[str]:
        """The repositories that were asked, in order, each once."""
        return list(dict.fromkeys("/".join(path.split("/")[1:3]) for _, path, _ in self.requests))

    def _answer(self, request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        wanted = request.headers.get("Range")
        self.requests.append((request.command, request.path, wanted))
        name = request.path.lstrip("/").replace("/resolve/main/", "/").partition("?")[0]
        for commit in {hashlib.sha1(key.encode()).hexdigest() for key in self.files}:
            name = name.replace(f"/resolve/{commit}/", "/")
        data = self.files.get(name)
        if data is None:
            known = any(key.startswith("/".join(name.split("/")[:2])) for key in self.files)
            request.send_response(404)
            request.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        request.send_response(206 if wanted else 200)
        request.send_header("X-Repo-Commit", "0" * 40)
        request.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        request.send_header("Content-Length", str(len(data) - start))
        if wanted:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        if with_body:
            self._send(request, data[start:])

    def _send(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        if self.break_after is None:
            request.wfile.write(data)
            return
        request.wfile.write(data[: self.break_after])
        self.break_after = None
        request.wfile.flush()
        request.connection.close()


def serve(files: Mapping[str, bytes]) -> Iterator[LocalHub]:
    hub = LocalHub(files)
    try:
        yield hub
    finally:
        hub.close()
