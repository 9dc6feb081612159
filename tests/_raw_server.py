"""A scripted TCP server on loopback, and a small proxy, built on threads and sockets only."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Peer:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def head(self) -> bytes:
        """Read up to the blank line; `b""` if the client has closed the connection."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def buffered(self) -> bytes:
        """Return the bytes received together with the head."""
        data, self._buffer = self._buffer, b""
        return data

    def request(self) -> bytes:
        """Read the head and the body of a request."""
        head = self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            while b"0\r\n\r\n" not in self._buffer:
                self._buffer += self.sock.recv(65536)
            body, self._buffer = self._buffer, b""
            return head + body
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        while len(self._buffer) < length:
            self._buffer += self.sock.recv(65536)
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return head + body

    def send(self, *parts: bytes, pause: float = 0.003) -> None:
        """Send each part in its own TCP segment."""
        for number, part in enumerate(parts):
            if number:
                time.sleep(pause)
            self.sock.sendall(part)

    def sees_end(self, within: float = 2.0) -> bool:
        """Whether the client closes or resets the connection within this many seconds."""
        self.sock.settimeout(within)
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


Script = Callable[["RawServer", Peer], None]


class RawServer:
    """Server that runs `script` for each connection.

    Attributes:
        port, url: Its address.
        connections: Number of accepted connections.
        requests: The requests in order; a script appends them.
        notes: Other values that a script reports to the test.
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._peers: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.connections = 0
        self.requests: list[bytes] = []
        self.notes: list[object] = []
        self.noted = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def note(self, note: object) -> None:
        self.notes.append(note)
        self.noted.set()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for sock in self._peers:
            sock.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError, ValueError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            self._peers.append(sock)
            with sock:
                self._script(self, Peer(sock))


@contextmanager
def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    server = RawServer(script, tls=tls)
    try:
        yield server
    finally:
        server.close()


def respond_with(*parts: bytes, close: bool = False, reset: bool = False, pause: float = 0.003) -> Script:
    """Create a script that sends the same response to each request, and then optionally closes or resets."""

    def script(server: RawServer, peer: Peer) -> None:
        while request := peer.request():
            server.requests.append(request)
            peer.send(*parts, pause=pause)
            if reset:
                peer.reset()
            if close or reset:
                return

    return script


def proxying(server: RawServer, peer: Peer) -> None:
    """Script of a proxy that tunnels CONNECT requests and forwards others."""
    head = peer.head()
    server.requests.append(head)
    method, target, _ = head.split(b"\r\n")[0].split(b" ")
    if b"refused" in target:
        peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return
    authority = target if method == b"CONNECT" else target.split(b"/")[2]
    host, _, port = authority.decode().rpartition(":")
    with socket.create_connection((host, int(port))) as upstream:
        if method == b"CONNECT":
            peer.send(b"HTTP/1.1 200 Connection ", b"established\r\nVia: test\r\n\r\n")
        else:
            path = b"/" + target.split(b"/", 3)[3]
            upstream.sendall(head.replace(target, path, 1) + peer.buffered())
        back = threading.Thread(target=_pump, args=(upstream, peer.sock), daemon=True)
        back.start()
        _pump(peer.sock, upstream)
        back.join(2)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def certificates(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext, Path]:
    """`(server's context, client's context, file of the CA)` for 127.0.0.1 and localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mdstream test")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca = folder / "ca.pem"
    both = folder / "both.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(secret + ca.read_bytes())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(both)
    return server, ssl.create_default_context(cafile=ca), ca
