"""Whether a port is free, and whether Vitrine answers there."""

from __future__ import annotations

import errno
import http.client
import socket
from contextlib import suppress

from recommender.config.env import EVERY_INTERFACE, Environment, OperatorError


def check_port(host: str, port: int) -> None:
    """OperatorError if nothing can listen there, with who does if that can be read."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise OperatorError(
                f"This user may not listen on port {port}: choose one above 1023 with --port or VITRINE_PORT."
            ) from None
        except socket.gaierror:
            raise OperatorError(
                f"VITRINE_HOST is {host!r}, which is not an address of this machine."
            ) from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OperatorError(
                    f"VITRINE_HOST is {host!r}, where this machine can't listen: {error.strerror}."
                ) from error
            raise OperatorError(
                f"Port {port} is taken{_holder(port)}: stop that program, or choose another port with"
                f" --port {port + 1} or VITRINE_PORT={port + 1}."
            ) from None


def answers(host: str, port: int, *, path: str = "/readyz", host_header: str = "localhost") -> bool:
    """Whether the web process answers 200 there."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host_header})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def connectable(host: str) -> str:
    """The address under which this machine reaches what listens on `host`."""
    return "127.0.0.1" if host in EVERY_INTERFACE else host


def host_header(env: Environment) -> str:
    """A name of the installation that Django takes."""
    named = [name for name in env.allowed_hosts if name != "*" and not name.startswith(".")]
    return named[0] if named else "localhost"


def _holder(port: int) -> str:
    import psutil

    with suppress(psutil.Error, OSError):
        for found in psutil.net_connections(kind="tcp"):
            listens = found.status == psutil.CONN_LISTEN and found.pid
            if listens and getattr(found.laddr, "port", None) == port:
                return f" by process {found.pid} ({psutil.Process(found.pid).name()})"
    return ""
