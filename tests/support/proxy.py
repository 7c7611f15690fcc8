"""A reverse proxy on this machine, which passes as much of a request's origin on as one tells it to."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PER_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "host")


class Proxy:
    """Serves on a free port what another server serves, while the block runs; start it before the server is known.

    Attributes:
        port: Where it listens.
        address: What a browser opens.
        upstream: The server behind it, such as "http://127.0.0.1:7860".
    """

    def __init__(
        self, *, path: str = "", keeps_path: bool = False, host: str = "", tls: Path | None = None, **headers: str
    ) -> None:
        """Makes a proxy.

        Args:
            path: Serves below it, such as "/studio"; everything else is 404.
            keeps_path: Hands the path on with `path` in front, as nginx does where proxy_pass has no path.
            host: The Host that the server is told; "" for the server's own, as nginx's bare proxy_pass does. A
                "{port}" in it, and in `headers`, is the proxy's port.
            tls: A folder for a certificate of its own; None for plain http.
            **headers: Further ones that the server is told, with "_" for "-".
        """
        self.upstream = ""
        self._path, self._keeps_path, self._tls = path, keeps_path, tls
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with suppress(OSError, http.client.HTTPException):  # a browser that leaves, a server that ends
                    proxy._pass_on(self)

            do_POST = do_HEAD = do_OPTIONS = do_DELETE = do_GET

            def log_message(self, *args) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}{path}"
        self._host = host.format(port=self.port)
        self._headers = {name.replace("_", "-"): value.format(port=self.port) for name, value in headers.items()}

    def __enter__(self) -> Proxy:
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(_certificate(self._tls))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *args) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("content-length", 0)))  # before anything is answered
        if not asked.path.startswith(f"{self._path}/"):
            asked.send_error(404)
            return
        path = asked.path if self._keeps_path else asked.path.removeprefix(self._path)
        behind = urlsplit(self.upstream).netloc
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in PER_CONNECTION}
        connection = http.client.HTTPConnection(behind, timeout=120)
        try:
            connection.request(
                asked.command,
                path,
                body,
                {**headers, **self._headers, "Host": self._host or behind, "Connection": "close"},
            )
            answer = connection.getresponse()
            asked.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in PER_CONNECTION:
                    asked.send_header(name, value)
            asked.send_header("Connection", "close")
            asked.close_connection = True
            asked.end_headers()
            while part := answer.read1(2**16):  # as it comes: answers are streams of events
                asked.wfile.write(part)
        finally:
            connection.close()


def _certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed but itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "proxy.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path
