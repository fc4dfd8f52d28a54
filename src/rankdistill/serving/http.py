"""The HTTP side of a worker: its paths, and one form for all that goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

import rankdistill
from rankdistill.serving.counted import Application, Counted
from rankdistill.serving.pages import add_pages
from rankdistill.serving.refused import Code, RefusedError
from rankdistill.serving.requests import schema
from rankdistill.serving.responses import Answer, Found, Health, Problem
from rankdistill.serving.service import Service, encoded
from rankdistill.types import Json

_JSON = "application/json"
_ABOUT = "Ranked lists of an exported model, by user or by history."


def application(service: Service) -> Application:
    """What a server runs."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.watching():
            yield

    app = FastAPI(
        title="rankdistill serve",
        description=_ABOUT,
        version=rankdistill.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_lists(app, service)
    _add_state(app, service)
    if service.options.page:
        _add_items(app, service)
    add_pages(app, page=service.options.page)
    _answer_head(app)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(404, _no_path)
    app.add_exception_handler(405, _no_method)
    app.add_exception_handler(Exception, _bug)
    return Counted(app, service.metrics)


def _add_lists(app: FastAPI, service: Service) -> None:
    limits = service.options.limits
    body = {"schema": schema(limits), "example": {"history": service.some_items(), "k": 5}}

    @app.post(
        "/recommend",
        summary="Lists for one or for many",
        description="`user`, `history` or both, for one list; many of these in `requests`, for many.",
        responses={200: {"model": Answer}, **_problems(400, 404, 408, 413, 422, 503, 504)},
        openapi_extra={"requestBody": {"required": True, "content": {_JSON: body}}},
    )
    async def recommend(request: Request) -> Response:
        try:
            async with asyncio.timeout(limits.seconds):
                body = await _body(request, limits.body)
        except TimeoutError:
            raise RefusedError(408, "too_slow", f"the body took more than {limits.seconds:g} s (--timeout)") from None
        try:
            async with asyncio.timeout(limits.seconds):
                return Response(await service.recommend(body), media_type=_JSON)
        except TimeoutError:
            raise RefusedError(504, "too_slow", f"the lists took more than {limits.seconds:g} s (--timeout)") from None


async def _body(request: Request, most: int) -> bytes:
    """The body of a request.

    Raises:
        RefusedError: it has more than `most` bytes, or breaks off.
    """
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
    chunks: list[bytes] = []
    if size <= most:
        size, more = 0, True
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "disconnected", "the body broke off")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            more = message.get("more_body", False) and size <= most
    if size > most:
        raise RefusedError(413, "too_large", f"the body is larger than the {most:,} bytes that are taken (--max-body)")
    return b"".join(chunks)


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/health", summary="Whether the worker that answers is well", responses={200: {"model": Health}})
    async def health() -> Response:
        return _json(service.health())

    @app.get("/model", summary="What the models are, and the limits of a request")
    async def model() -> Response:
        return _json(await service.threaded(service.model))

    @app.get(
        "/metrics",
        summary="Numbers for Prometheus, of all workers",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _add_items(app: FastAPI, service: Service) -> None:
    @app.get("/items", summary="Items by id or title", responses={200: {"model": Found}, **_problems(422, 503)})
    async def items(
        query: Annotated[str, Query(max_length=200, description="Part of an id or title; nothing finds all.")] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        catalogue = service.student.model.catalogue
        return _json({"items": await service.threaded(lambda: catalogue.search(query, limit))})

    @app.get("/example", summary="A history to try", responses={200: {"model": Found}, **_problems(503)})
    async def example() -> Response:
        return _json(await service.threaded(service.example))


def _answer_head(app: FastAPI) -> None:
    """HEAD, with which load balancers look, is answered as GET is; the server that runs this leaves the body out.

    By routes of their own, not by a second method of the others: `/openapi.json` would list that for each.
    """
    for route in [each for each in app.routes if isinstance(each, APIRoute) and "GET" in (each.methods or ())]:
        app.head(route.path, include_in_schema=False)(route.endpoint)


_WHEN = {
    400: "no JSON",
    404: "unknown user, and no history",
    408: "the body comes too slowly",
    413: "the body is too large",
    422: "another form, an unknown item, or more than is taken",
    503: "too many are waiting; try again",
    504: "the lists took too long",
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": _WHEN[status]} for status in statuses}


def _json(value: Json, status: int = 200) -> Response:
    return Response(encoded(value), status, media_type=_JSON)


def _problem(status: int, code: Code, message: str) -> Response:
    response = _json({"error": code, "message": message}, status)
    if status in (408, 413):
        response.headers["connection"] = "close"  # the rest of the body is not wanted
    if status == 503:
        response.headers["retry-after"] = "1"
    return response


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _problem(error.status, error.code, error.message)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _problem(422, "bad_request", f"{first['loc'][-1]}: {first['msg']}")


async def _no_path(request: Request, _: Exception) -> Response:
    return _problem(404, "not_found", f"there is nothing at {request.url.path[:100]}; see /docs")


async def _no_method(request: Request, error: Exception) -> Response:
    line = f"{request.url.path} does not take {request.method[:20]}; see /docs"
    response = _problem(405, "method_not_allowed", line)
    taken = set((getattr(error, "headers", None) or {}).get("Allow", "").split(", "))
    response.headers["allow"] = ", ".join(sorted(taken | {"HEAD"} if "GET" in taken else taken))
    return response


async def _bug(_: Request, __: Exception) -> Response:
    return _problem(500, "bug", "this is a bug of the server; its log says more")
