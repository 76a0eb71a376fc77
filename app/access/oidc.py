"""OIDC: people sign in where their house keeps its accounts (OpenID Connect, authorization code with PKCE).

Invariant: somebody is known by issuer and subject, which the provider has signed for this client, this login and this
moment; names are for people. A user whom an administrator has added without a password is taken over by the first who
comes by that name; others are let in only if the settings name a role for them. Needs the provider; nothing here is
asked at boot.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, text

from app.access.scope import Role
from app.access.users import create_user

_SECONDS = 10.0
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
_BY_IDENTITY = text(
    "select id, username, is_disabled from access_users where identity = :identity and ended_at is null"
)
_LINK = text(
    "update access_users set identity = :identity where lower(username) = lower(:username)"
    " and ended_at is null and identity is null and password_hash is null returning id, username, is_disabled"
)


class Refused(Exception):
    """Nobody is signed in; the message says why."""


@dataclass(frozen=True)
class Person:
    """Somebody, as the provider has signed."""

    identity: str
    username: str


class Oidc:
    """One provider. Every call may raise ``Refused``."""

    def __init__(self, issuer: str, client_id: str, client_secret: str) -> None:
        self._issuer = issuer.rstrip("/")
        self._client_id = client_id
        self._client_secret = client_secret

    def begin(self, redirect_uri: str) -> tuple[str, dict[str, str]]:
        """Where to send the browser, and what to remember of it until it is back."""
        kept = {name: secrets.token_urlsafe(48) for name in ("state", "nonce", "verifier")}
        address, _ = self._session(redirect_uri).create_authorization_url(
            self._metadata["authorization_endpoint"],
            state=kept["state"],
            nonce=kept["nonce"],
            code_verifier=kept["verifier"],
        )
        return address, kept

    def finish(self, address: str, state: str | None, kept: dict[str, str], redirect_uri: str) -> Person:
        """Who has come back to this address."""
        import requests
        from authlib.common.errors import AuthlibBaseError
        from joserfc import jwk, jwt
        from joserfc.errors import JoseError

        if not secrets.compare_digest(state or "", kept["state"]):
            raise Refused("This login was not begun in this browser.")
        try:
            token = self._session(redirect_uri).fetch_token(
                self._metadata["token_endpoint"],
                authorization_response=address,
                code_verifier=kept["verifier"],
                state=kept["state"],
            )
            keys = jwk.KeySet.import_key_set(_get(self._metadata["jwks_uri"]))  # type: ignore[arg-type]
            claims = jwt.decode(token["id_token"], keys, algorithms=_ALGORITHMS).claims
            jwt.JWTClaimsRegistry(
                leeway=60,
                iss={"essential": True, "value": self._metadata["issuer"]},
                aud={"essential": True, "value": self._client_id},
                exp={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": kept["nonce"]},
            ).validate(claims)
        except (AuthlibBaseError, JoseError, requests.RequestException, KeyError, ValueError) as error:
            raise Refused(f"The provider's answer does not hold: {error or type(error).__name__}.") from error
        name = claims.get("preferred_username") or claims.get("email") or claims["sub"]
        return Person(f"{claims['iss']} {claims['sub']}", str(name))

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        found = _get(f"{self._issuer}/.well-known/openid-configuration")
        if found.get("issuer", "").rstrip("/") != self._issuer:
            raise Refused(f"{self._issuer} says that it is {found.get('issuer')}.")
        return found

    def _session(self, redirect_uri: str) -> Any:  # noqa: ANN401 - Authlib has no types
        from authlib.integrations.requests_client import OAuth2Session

        return OAuth2Session(
            self._client_id,
            self._client_secret,
            scope="openid profile email",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            default_timeout=_SECONDS,
        )


def user_of(connection: Connection, person: Person, role: Role | None) -> dict[str, Any]:
    """The user that the person is: known by identity, added without a password, or new with this role.

    Raises:
        Refused: there is none, or they are disabled.
        sqlalchemy.exc.IntegrityError: somebody else has the name.
    """
    values = {"identity": person.identity, "username": person.username}
    row = (
        connection.execute(_BY_IDENTITY, values).mappings().first()
        or connection.execute(_LINK, values).mappings().first()
    )
    if row is None and role is None:
        raise Refused(f"Nobody here is called {person.username}: an administrator has to add you, without a password.")
    found = (
        dict(row) if row else create_user(connection, person.username, role or "viewer", None, identity=person.identity)
    )
    if found["is_disabled"]:
        raise Refused(f"{person.username} may not sign in.")
    return found


def _get(url: str) -> dict[str, Any]:
    import requests

    try:
        answer = requests.get(url, timeout=_SECONDS, headers={"Accept": "application/json"})
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise Refused(f"The provider cannot be asked: {error}.") from error
    return found
