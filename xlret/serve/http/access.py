"""Who may call what: API keys from the environment, compared without telling by time how much of a key was right."""

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xlret.errors import UserError
from xlret.serve.errors import ApiError

_OPEN = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json"})
_SHORTEST = 8


@dataclass(frozen=True)
class Keys:
    """Digests of the keys; the keys themselves are not kept. No API keys: the endpoint is open. No admin key: admin is off."""

    api: frozenset[bytes] = frozenset()
    admin: frozenset[bytes] = frozenset()

    @classmethod
    def from_texts(cls, api: Iterable[str] = (), admin: Iterable[str] = ()) -> "Keys":
        """From keys as text.

        Raises:
            UserError: a key is shorter than 8 characters or not ASCII.
        """
        return cls(frozenset(map(_digest, map(_usable, api))), frozenset(map(_digest, map(_usable, admin))))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Keys":
        """From XLRET_API_KEYS and XLRET_ADMIN_KEY, both comma-separated."""
        api, admin = (
            [key.strip() for key in environment.get(name, "").split(",") if key.strip()]
            for name in ("XLRET_API_KEYS", "XLRET_ADMIN_KEY")
        )
        return cls.from_texts(api, admin)

    def check(self, path: str, authorization: str | None) -> None:
        """Lets a request pass or not. Pages, health and documentation are open; an admin key opens everything.

        Raises:
            ApiError: 401.
        """
        if path in _OPEN or path.startswith(("/page/", "/docs/")):
            return
        is_admin_path = path.startswith("/admin")
        if not is_admin_path and not self.api:
            return
        if is_admin_path and not self.admin:
            raise ApiError(401, "this server has no admin key; start it with XLRET_ADMIN_KEY set")
        wanted = self.admin if is_admin_path else self.api | self.admin
        kind, _, key = (authorization or "").partition(" ")
        if not authorization:
            raise ApiError(401, "a key is needed; send the header Authorization: Bearer KEY")
        given = _digest(key.strip())
        is_known = False
        for digest in wanted:  # all of them, so that the time does not tell which one it was
            is_known |= hmac.compare_digest(digest, given)
        if kind.lower() != "bearer" or not is_known:
            raise ApiError(401, "this key is not valid here; send the header Authorization: Bearer KEY")


def _usable(key: str) -> str:
    if len(key) < _SHORTEST or not key.isascii() or any(sign.isspace() for sign in key):
        raise UserError(
            f"an API key of {len(key)} characters cannot be used; give {_SHORTEST} or more ASCII characters, no spaces"
        )
    return key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
