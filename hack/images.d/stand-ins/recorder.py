#!/usr/bin/env python3
"""Keeps what the stand-ins of an image's tools are asked, and what they store.

`POST /asked` records a line of JSON, `GET /asked` returns all of them. `PUT`, `GET` and `DELETE` of
`/stored/KEY` are the object store.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

PORT: Final = 8080

ASKED: Final[list[bytes]] = []
STORED: Final[dict[str, bytes]] = {}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        """Record what was asked."""
        ASKED.append(self._body())
        self._answer(200)

    def do_PUT(self) -> None:
        """Store something."""
        STORED[self.path] = self._body()
        self._answer(200)

    def do_DELETE(self) -> None:
        """Delete something; an object store does not say whether it was there."""
        STORED.pop(self.path, None)
        self._answer(200)

    def do_GET(self) -> None:
        """Return what was asked so far, or what is stored."""
        if self.path == "/asked":
            self._answer(200, b"\n".join(ASKED))
        elif self.path in STORED:
            self._answer(200, STORED[self.path])
        else:
            self._answer(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing: the words of tools have passwords among them."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
