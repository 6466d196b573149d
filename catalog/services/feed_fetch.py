"""Reading a feed from an address that a member typed, without becoming their way into our network.

An address says where Vitrine's server connects to, so it could name what only that server may reach:
itself, its neighbours, a cloud's metadata. Therefore a name is resolved once, every address behind it
has to be a public one, and the connection goes to exactly that address: a second answer of the name
server changes nothing. Each redirect starts again from there.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from urllib.parse import SplitResult, urljoin, urlsplit

from django.conf import settings

from catalog.feeds.rows import FeedRefused

MAX_REDIRECTS = 3
# A host has a few; each that keeps silent costs `SILENCE_S`.
MAX_ADDRESSES = 4
# Silence, and the whole of it.
SILENCE_S = 20.0
DEADLINE_S = 300.0
CHUNK = 256 * 1024
REDIRECTS = (301, 302, 303, 307, 308)
USER_AGENT = "Vitrine feed reader"
# Addresses that carry an IPv4 address in them, and so lead wherever that one leads.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")


class FetchRefused(FeedRefused):
    """The address may not be read, or gave no feed; the text says why and nothing about our network."""


def address_check(url: str) -> SplitResult:
    """The parts of an address that may be asked for; resolves nothing yet.

    Raises
    ------
    FetchRefused
        Not http or https, no host, or a name and password in it.
    """
    try:
        parts = urlsplit(url.strip())
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise FetchRefused("This is no web address.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise FetchRefused("An address has to start with http:// or https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise FetchRefused(
            "Leave name and password out of the address: they would be kept and shown."
        )
    if len(url) > 2000 or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url.strip()):
        raise FetchRefused("This is no web address.")
    return parts


def feed_fetch(url: str) -> Iterator[bytes]:
    """The bytes behind an address, as they come.

    No cookie, no credential and no header of ours but a name is sent. At most `MAX_REDIRECTS`
    redirects are followed, each judged like the first address.

    Raises
    ------
    FetchRefused
        At the first `next`, or in between if the server breaks off or takes more than
        `DEADLINE_S` seconds.
    """
    until = time.monotonic() + DEADLINE_S
    for _ in range(MAX_REDIRECTS + 1):
        parts = address_check(url)
        connection = _connect(parts)
        # Ends whatever the server is dragging out: headers, body, or nothing at all.
        deadline = threading.Timer(max(until - time.monotonic(), 0.0), connection.hang_up)
        deadline.daemon = True
        deadline.start()
        try:
            with closing(connection):
                answer = _ask(connection, parts)
                if answer.status not in REDIRECTS:
                    yield from _body(answer)
                    return
                url = _redirected(url, answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, FetchRefused):
                raise
            reason = "took too long" if isinstance(error, TimeoutError) else "broke off"
            raise FetchRefused(f"{parts.hostname} {reason}. Try again later.") from error
        finally:
            deadline.cancel()
    raise FetchRefused(f"The address leads on more than {MAX_REDIRECTS} times.")


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, all of them public ones, or whatever the operator allowed.

    Raises
    ------
    FetchRefused
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchRefused(f"There is no host {host[:80]!r}.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if host.lower() in {allowed.lower() for allowed in settings.IMPORT_ALLOWED_HOSTS}:
        return addresses
    # One private address among public ones is reason enough: nobody's shop is like that.
    if not addresses or not all(is_public(address) for address in addresses):
        raise FetchRefused(
            f"{host[:80]} doesn't lead to a public address. For a host of the shop's own network"
            " have it added to VITRINE_IMPORT_ALLOWED_HOSTS."
        )
    return addresses


def is_public(text: str) -> bool:
    """Whether an IP address is everybody's: not ours, the neighbours', a group's or reserved.

    >>> [is_public(text) for text in ("93.184.215.14", "10.0.0.1", "169.254.169.254", "::1")]
    [True, False, False, False]
    >>> [is_public(text) for text in ("::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "x")]
    [False, False, False, False]
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        carries_another = (
            address.sixtofour is not None
            or address.teredo is not None
            or any(address in network for network in (_NAT64, _NAT64_LOCAL, _COMPATIBLE))
        )
        if carries_another:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to an address that was checked, whatever the name says by now."""

    def __init__(self, parts: SplitResult, addresses: list[str]) -> None:
        self._is_https = parts.scheme == "https"
        self._addresses = addresses[:MAX_ADDRESSES]
        self._hung_up = threading.Event()
        # `http.client` forgets its socket as soon as an answer has begun; the deadline needs it.
        self._socket: socket.socket | None = None
        super().__init__(
            parts.hostname or "", parts.port or (443 if self._is_https else 80), timeout=SILENCE_S
        )

    def connect(self) -> None:
        last: OSError = OSError("no address")
        for address in self._addresses:
            if self._hung_up.is_set():
                raise TimeoutError
            try:
                found = socket.create_connection((address, self.port), timeout=SILENCE_S)
            except OSError as error:
                last = error
                continue
            self._socket = found
            if self._is_https:
                context = ssl.create_default_context()
                found = context.wrap_socket(found, server_hostname=self.host)
            self.sock = self._socket = found
            return
        raise last

    def hang_up(self) -> None:
        """End it, from another thread, wherever it is."""
        self._hung_up.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _connect(parts: SplitResult) -> _PinnedConnection:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    return _PinnedConnection(parts, addresses_of(host, port))


def _ask(connection: _PinnedConnection, parts: SplitResult) -> http.client.HTTPResponse:
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    default_port = 443 if parts.scheme == "https" else 80
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        raise FetchRefused(f"The certificate of {parts.hostname} isn't valid.") from error
    except OSError as error:
        raise FetchRefused(f"{parts.hostname} doesn't answer.") from error
    connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
    connection.putheader(
        "Host", host if parts.port in (None, default_port) else f"{host}:{parts.port}"
    )
    connection.putheader("User-Agent", USER_AGENT)
    connection.putheader("Accept", "*/*")
    connection.putheader("Accept-Encoding", "identity")
    connection.putheader("Connection", "close")
    connection.endheaders()
    return connection.getresponse()


def _redirected(url: str, answer: http.client.HTTPResponse) -> str:
    location = answer.getheader("Location")
    if not location:
        raise FetchRefused("The address leads on, but doesn't say where.")
    further = urljoin(url, location)
    if urlsplit(url).scheme == "https" and urlsplit(further).scheme == "http":
        raise FetchRefused(
            "The address leads from https on to http, where anybody could change it."
        )
    return further


def _body(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    if answer.status != 200:
        raise FetchRefused(f"The address answers {answer.status} {answer.reason[:60]}.")
    n_declared = answer.length or 0
    if n_declared > settings.IMPORT_MAX_BYTES:
        mib = settings.IMPORT_MAX_BYTES // (1024 * 1024)
        raise FetchRefused(f"The file has more than {mib:,} MB.")
    n_read = 0
    while chunk := answer.read(CHUNK):
        n_read += len(chunk)
        yield chunk
    if n_read < n_declared:
        raise FetchRefused("The file broke off before its end. Try again later.")
