"""OIDC: the two addresses by which people sign in where their house keeps its accounts."""

from __future__ import annotations

import logging
from functools import cache
from typing import Annotated
from urllib.parse import quote

from flask import Response, redirect, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from pydantic import ConfigDict, Field, WithJsonSchema
from sqlalchemy.exc import IntegrityError

from app.access import oidc
from app.api.current import current_access, current_feed
from app.api.guard import refuse
from app.api.login import new_login, set_cookie
from app.config import Config
from app.postgres.tables import db
from app.rest.document import Endpoints
from app.rest.problems import ProblemError
from app.rest.resource import problem_response
from app.rest.schema import Strict, absent
from app.rest.takes import NOTHING
from app.rest.validation import reads

log = logging.getLogger(__name__)
api = Endpoints(
    "oidc",
    "/api/login/oidc",
    tag="access",
    about="Who is let in.",
    responses={status: problem_response() for status in (400, 401, 403, 404, 500, 502, 503)},
)
_COOKIE = "people_feed_oidc"
_SECONDS = 600
# A path of ours: what follows the first slash is neither another slash nor what browsers take for one.
_OWN_PATH = r"^/(?:[^/\\\s][^\s\\]*)?$"


class Begin(Strict):
    """Where to go afterwards."""

    next: Annotated[str, Field(pattern=_OWN_PATH, max_length=1000)] = "/"


class Back(Strict):
    """What the provider sends back; only it knows all of it."""

    model_config = ConfigDict(extra="ignore")

    state: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(default_factory=absent)


@api.get("", NOTHING, "beginOidcLogin", summary="Sign in at the provider", responses={302: None})
@reads(query=Begin)
def begin(query: Begin) -> Response:
    try:
        address, kept = _provider().begin(_redirect_uri())
    except oidc.Refused as refused:
        log.warning("nobody can sign in at the provider: %s", refused)
        raise ProblemError(502, str(refused)) from None
    response = _to(address)
    value = _signer().dumps({**kept, "next": query.next})
    response.set_cookie(
        _COOKIE, value, max_age=_SECONDS, path=_path(), secure=request.is_secure, httponly=True, samesite="Lax"
    )
    return response


@api.get("/callback", NOTHING, "finishOidcLogin", summary="Back from the provider", responses={302: None})
@reads(query=Back)
def back(query: Back) -> Response:
    provider, config = _provider(), current_feed().config
    try:
        kept = _signer().loads(request.cookies.get(_COOKIE, ""), max_age=_SECONDS)
    except BadSignature:
        raise refuse(403, "wrong_credentials", "This login was not begun in this browser, or too long ago.") from None
    try:
        person = provider.finish(request.url, query.state, kept, _redirect_uri())
        with db.engine.begin() as connection:
            user = oidc.user_of(connection, person, config.oidc_role)
            token = new_login(connection, f"user {user['username']}", user_id=user["id"])
    except oidc.Refused as refused:
        log.warning("a login by the provider failed: %s", refused)
        raise refuse(403, "wrong_credentials", str(refused)) from None
    except IntegrityError:
        raise refuse(
            403, "wrong_credentials", f"{person.username} is no name for a user, or somebody else's."
        ) from None
    current_access().register.refresh()
    response = _to(f"{request.script_root}{kept['next']}")
    set_cookie(response, token)
    response.delete_cookie(_COOKIE, path=_path())
    return response


def _to(address: str) -> Response:
    response = redirect(address)
    response.headers["Cache-Control"] = "no-store"
    assert isinstance(response, Response)
    return response


def _provider() -> oidc.Oidc:
    found = _of(current_feed().config)
    if found is None:
        raise ProblemError(404, "There is no other place to sign in at: OIDC_ISSUER is not set.")
    return found


@cache
def _of(config: Config) -> oidc.Oidc | None:
    if config.oidc_issuer is None or config.oidc_client_secret_file is None:
        return None
    secret = config.oidc_client_secret_file.read_text("utf-8").strip()
    return oidc.Oidc(config.oidc_issuer, config.oidc_client_id, secret)


def _redirect_uri() -> str:
    return f"{request.host_url.rstrip('/')}{quote(request.script_root)}/api/login/oidc/callback"


def _path() -> str:
    return f"{request.script_root}/api/login/oidc"


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_access().secret, salt="people-feed oidc")
