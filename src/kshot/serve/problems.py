"""Every way in which a request can fail, as one message: what was wrong, what was expected, what to do."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..errors import UserError
from .gate import Busy
from .schemas import Problem

RESPONSES: dict[int | str, dict[str, Any]] = {
    403: {"model": Problem, "description": "Asked by the page of another server, or under a name that is not known."},
    413: {"model": Problem, "description": "The request is too large."},
    422: {"model": Problem, "description": "Something in the request cannot be used."},
    503: {"model": Problem, "description": "Too many ask at once."},
}


def add_handlers(app: FastAPI) -> None:
    """Make the app answer every failure with a Problem."""

    @app.exception_handler(UserError)
    def _mistake(request: Request, error: UserError) -> JSONResponse:
        return problem(422, str(error))

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem(422, "; ".join(explain(e) for e in error.errors()[:3]))

    @app.exception_handler(Busy)
    def _busy(request: Request, error: Busy) -> JSONResponse:
        return problem(503, str(error), {"retry-after": "1"})

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            return problem(404, f"there is no {request.url.path} here: the page is at /, the JSON API is told at /docs")
        if error.status_code == 405:
            return problem(405, f"{request.url.path} does not take {request.method}: see /docs")
        return problem(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    def _failure(request: Request, error: Exception) -> JSONResponse:
        logging.getLogger("kshot").error("%s failed", request.url.path, exc_info=error)
        return problem(500, f"{type(error).__name__}: {error}. This is a fault of kshot; the server's log shows where")


def problem(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer to a request that failed."""
    return JSONResponse(Problem(message=message).model_dump(), status, headers)


def explain(error: Any) -> str:
    """What the check of a request found, in words."""
    kind, told = error["type"], error.get("ctx", {})
    place = _place(error["loc"])
    if kind in ("too_long", "too_short"):
        long = kind == "too_long"
        bound = f"at most {told['max_length']}" if long else f"at least {told['min_length']}"
        return (
            f"{place} has {told['actual_length']} entries, expected {bound}: {'leave some out' if long else 'add some'}"
        )
    if kind == "string_too_long":
        return f"{place} has {len(error['input']):,} letters, expected at most {told['max_length']:,}: make it smaller"
    if kind == "string_too_short":
        return f"{place} is empty, expected at least {told['min_length']} letter"
    if kind == "missing":
        return f"{place} is missing: see /docs"
    if kind == "extra_forbidden":
        return f"{place} is not known here: see /docs for what is"
    if kind == "json_invalid":
        return f"the body is not JSON ({told.get('error', error['msg'])}): see /docs"
    value = repr(error.get("input"))
    return f"{place} is {value[:60]}{'...' * (len(value) > 60)}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _place(loc: Any) -> str:
    """("body", "classes", 0, "name") as classes[0].name."""
    words = ""
    for part in loc[1:]:
        words += f"[{part}]" if isinstance(part, int) else f".{part}" if words else str(part)
    return words or "the body"
