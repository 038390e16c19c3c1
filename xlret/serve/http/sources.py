"""Who a request is from: the address that it came from, or the one that a proxy in front names."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from xlret.errors import UserError


class Sources:
    """Tells clients by their addresses.

    X-Forwarded-For is believed of this machine (HAProxy runs on it) and of the proxies named; anybody else could write
    whatever they liked there. What they put in front of the list themselves is passed over: the last address counts that is
    no trusted proxy.

    Args:
        trusted_proxies: addresses or networks.

    Raises:
        UserError: one is neither.

    >>> sources = Sources(["10.0.0.0/8"])
    >>> scope = {"client": ("10.1.2.3", 5555), "server": ("10.9.9.9", 80)}
    >>> sources.address(scope, {b"x-forwarded-for": b"1.1.1.1, 192.0.2.7, 10.4.4.4"})
    '192.0.2.7'
    """

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        try:
            self._networks = [ipaddress.ip_network(network, strict=False) for network in trusted_proxies]
        except ValueError as error:
            raise UserError(f"load.trusted_proxies: {error}; give addresses or networks, such as 10.0.0.0/8") from error

    def address(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """The client's address; empty where the server does not know it, as on a Unix socket."""
        client, server = scope.get("client"), scope.get("server")
        source = str(client[0]) if client else ""
        named = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        own = str(server[0]) if server else None
        while self._is_trusted(source, own) and named:
            candidate = _plain_address(named.pop())
            if candidate is None:
                break
            source = candidate
        return source

    def _is_trusted(self, source: str, own: str | None) -> bool:
        if source == own:
            return True
        try:
            address = ipaddress.ip_address(source)
        except ValueError:
            return False
        return address.is_loopback or any(address in network for network in self._networks)


def _plain_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip().strip("[]")))
    except ValueError:
        return None
