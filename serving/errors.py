"""Every failure answers {"error": {"what", "where", "remedy"}}, or in the form that the protocol of
its address has. It names the field and the reason and never repeats what was sent: a request may
hold what no log or screen should show."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from labs_core.errors import LabsError, did_you_mean
from labs_core.tasks.task import InvalidInput
from serving.log import note
from serving.protocols.failures import reworded

E = TypeVar("E", bound=Exception)

log = logging.getLogger(__name__)

LONGEST_NAME = 60  # characters of a field's name that are worth repeating
EXAMPLES = "See the examples in /openapi.json."
CLIENT_GONE = 499  # what proxies log for it; no standard has a status for it

REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "finite_number": "must be a finite number, not NaN or infinity",
    "float_type": "must be a number",
    "string_type": "must be text",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


class Failure(BaseModel):
    """What went wrong with a request."""

    what: str = Field(description="The field and what is wrong with it.")
    where: str = Field(description="The field, such as items[0].age.")
    remedy: str = Field(description="What to do about it.")


class ErrorAnswer(BaseModel):
    """The body of every answer that is not a success."""

    error: Failure


class RefusedError(Exception):
    """A request, or one item of several, that gets a reason instead of an answer.

    Args:
        status: of the HTTP answer.
        what: the field and what is wrong with it.
        where: the field.
        remedy: what to do about it.
        retry_after: seconds after which the same request may well be answered.
    """

    def __init__(
        self,
        status: int,
        what: str,
        where: str,
        remedy: str = EXAMPLES,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(what)
        self.status, self.what, self.where, self.remedy = status, what, where, remedy
        self.retry_after = retry_after

    def body(self) -> dict[str, str]:
        """What a client is told."""
        return {"what": self.what, "where": self.where, "remedy": self.remedy}

    def response(self) -> JSONResponse:
        """The whole answer; the request's log line gets its reason."""
        note(reason=self.what)
        return _Refusal(self)


class _Refusal(JSONResponse):
    """Words a failure when it is sent, for only then is it known to which address."""

    def __init__(self, refused: RefusedError) -> None:
        after = refused.retry_after
        headers = {} if after is None else {"Retry-After": str(after)}
        super().__init__({"error": refused.body()}, refused.status, headers)
        self._told = refused.status, refused.what, refused.remedy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        words = reworded(scope["path"], *self._told)
        if words:
            self.status_code, content = words
            self.body = self.render(content)
            self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def alone(error: E) -> E:
    """The error without what it was raised in and from.

    That refers to the request's body and, once the error is kept anywhere, in a circle to the error
    itself. Python looks for circles now and then only: by then there are hundreds of bodies.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def overloaded(seconds: int) -> RefusedError:
    """The answer to one request too many; the same one may well be answered `seconds` later."""
    return RefusedError(
        503,
        "the service has more requests than it can answer in time",
        "service",
        f"Send it again in {seconds} s, or fewer at once.",
        seconds,
    )


def describe(errors: Iterable[Any], known: Iterable[str] = ()) -> RefusedError:
    """The first of pydantic's complaints (its `errors()`) in our words; `known` are the fields."""
    first, *others = errors
    where = path(first["loc"]) or "body"
    kind, limits = first["type"], first.get("ctx", {})
    if kind == "too_long":
        reason = f"holds {limits['actual_length']} entries, and the limit is {limits['max_length']}"
        remedy = "Send several requests."
    elif kind == "too_short":
        reason, remedy = "is empty", EXAMPLES
    else:
        reason, remedy = REASONS.get(kind) or first["msg"], EXAMPLES
    if kind == "extra_forbidden":
        remedy = did_you_mean(path(first["loc"][-1:]), known)
    more = f" (and {len(others)} more)" if others else ""
    return RefusedError(422, f"{where} {reason}{more}", where, remedy)


def refuse_item(error: InvalidInput, places: Sequence[str]) -> RefusedError:
    """A task's complaint about an item, with the item's place in the request."""
    where = ".".join(part for part in (places[error.index or 0], path([error.field])) if part)
    return RefusedError(422, f"{where}: {error.reason}", where, error.remedy or EXAMPLES)


def unable(error: LabsError, where: str = "items") -> RefusedError:
    """The model has no answer to an item: its output overflows, say."""
    return RefusedError(422, str(error), where or "items", error.remedy or EXAMPLES)


def path(location: Iterable[str | int]) -> str:
    """('items', 0, 'age') -> items[0].age, in printable characters and of bounded length."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = "".join(c if c.isprintable() else "?" for c in part)[:LONGEST_NAME]
            text += f".{name}" if text else name
    return text


def install(app: FastAPI) -> None:
    """Make every failure of `app` answer in the one form."""
    app.add_exception_handler(RequestValidationError, _bad_option)
    for kind in (RefusedError, LabsError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _handler)


def response_to(request: Request, error: Exception) -> Response:
    """The answer to a request that raised `error`."""
    match error:
        case HTTPException():  # what Starlette refuses: unknown routes, other methods
            where = f"{request.method} {request.url.path}"[:LONGEST_NAME]
            refused = RefusedError(
                error.status_code, str(error.detail), where, "See /openapi.json."
            )
            answer = refused.response()
            answer.headers.update(error.headers or {})
            return answer
        case ClientDisconnect():  # nobody reads the answer, and nothing is wrong
            return Response(status_code=CLIENT_GONE)
    return refusal(request, error).response()


def refusal(request: Request, error: Exception, where: str = "items") -> RefusedError:
    """What a client is told of an `error` at one item, or at all of them."""
    match error:
        case RefusedError():
            return error
        case LabsError():
            return unable(error, where)
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return RefusedError(
        500, "The service failed on this request", "server", "See the server's log."
    )


async def _handler(request: Request, error: Exception) -> Response:
    return response_to(request, error)


async def _bad_option(request: Request, error: Exception) -> Response:
    """An option in the address of another type."""
    assert isinstance(error, RequestValidationError)
    return describe([{**e, "loc": e["loc"][1:]} for e in error.errors()]).response()
