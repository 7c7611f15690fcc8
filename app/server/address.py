"""Checks the page's host and port. Gradio would try a hundred ports for 5 s each and then report the wrong reason."""

from __future__ import annotations

import errno
import os
import socket

from aia.errors import AIAError

HOST, PORT, TRIES = "127.0.0.1", 7860, 100
MAX_PORT = 65535
TAKEN_MEANWHILE = (
    "The page does not start: its port was taken meanwhile or this machine is too busy; "
    "try again, or choose another port with --port."
)
HOST_VARIABLE, PORT_VARIABLE, TRIES_VARIABLE = "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_NUM_PORTS"


def checked(host: str | None, port: int | None) -> tuple[str, int | None]:
    """Checks that the page can listen at an address.

    Args:
        host: A name or an address. None: GRADIO_SERVER_NAME from the environment, or this machine alone.
        port: None: the first free one from GRADIO_SERVER_PORT or 7860 on.

    Returns:
        Host and port as `launch` takes them.

    Raises:
        AIAError: The host is no address of this machine, the port is not available, or a variable holds no number.
    """
    first, tries = _number(PORT_VARIABLE, PORT, MAX_PORT), _number(TRIES_VARIABLE, TRIES, MAX_PORT)
    if ":" in os.environ.get(HOST_VARIABLE, ""):  # Gradio looks for a free port there, in IPv4 alone
        raise AIAError(f"{HOST_VARIABLE} cannot be an IPv6 address; remove it and give the address with --host.")
    host = (host or os.environ.get(HOST_VARIABLE) or HOST).removeprefix("[").removesuffix("]")
    if port is not None and not 1 <= port <= MAX_PORT:
        raise AIAError(
            f"A port is a number from 1 to {MAX_PORT}, not {str(port)[:20]}; choose another one with --port."
        )
    last = min(first + tries - 1, MAX_PORT)
    os.environ[TRIES_VARIABLE] = str(last - first + 1)
    for number in [port] if port else range(first, last + 1):
        try:
            for name in (host, os.environ.get(HOST_VARIABLE) or HOST):  # Gradio tries its own default, too
                _bind(name, number)
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise AIAError(_why(error, host, number)) from None
        except UnicodeError as error:
            raise AIAError(_why(OSError(str(error)), host, number)) from None
    else:
        taken = f"Port {port} is taken" if port else f"All ports from {first} to {last} are taken"
        raise AIAError(f"{taken}: stop a program that uses one, or choose another one with --port.")
    return f"[{host}]" if ":" in host else host, port


def _number(variable: str, default: int, most: int) -> int:
    """The whole number in an environment variable of Gradio. Gradio would end with a traceback on anything else."""
    given = os.environ.get(variable, "").strip()
    if not given:
        os.environ.pop(variable, None)
        return default
    if not given.isdecimal() or not 1 <= int(given[:20]) <= most:
        raise AIAError(
            f"{variable} is {given[:40]!r}, but must be a whole number from 1 to {most}: change or remove it."
        )
    return int(given)


def _bind(host: str, port: int) -> None:
    """Binds an address as the server will, and releases it."""
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as listener:
            if os.name == "posix":  # on Windows it would take a port from another program
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)


def _why(error: OSError, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror) or error.errno in (None, errno.EADDRNOTAVAIL):
        return (
            f"The host {host[:100]!r} is no address of this machine; give one with --host, such as {HOST} or 0.0.0.0."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} needs special rights here; choose one from 1024 on with --port."
    return f"The page cannot listen at {host}, port {port} ({error.strerror}); choose others with --host and --port."
