"""The files that a browser asks for; none of them needs anything from elsewhere."""

from __future__ import annotations

from importlib import resources

from fastapi import FastAPI, Response

_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'"
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_DOCS = {
    "/docs": "docs.html",
    "/docs.js": "docs.js",
    "/lists.js": "lists.js",
    "/page.css": "page.css",
    "/theme.js": "theme.js",
}
_PAGE = {"/": "page.html", "/page.js": "page.js", "/models.js": "models.js"}


def add_pages(app: FastAPI, *, page: bool) -> None:
    """Adds the documentation, and the page at `/` where it is wanted."""
    for path, name in {**_DOCS, **(_PAGE if page else {})}.items():
        _add(app, path, name)


def _add(app: FastAPI, path: str, name: str) -> None:
    content = resources.files("rankdistill.serving").joinpath("page", name).read_bytes()
    media = _TYPES[name.rpartition(".")[2]]

    async def send() -> Response:
        return Response(content, media_type=media, headers=_HEADERS)

    app.get(path, include_in_schema=False)(send)
