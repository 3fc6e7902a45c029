"""A TCP forwarder in front of a real server, which fails as networks do: cut, stalled, or losing the answers."""

import select
import socket
import struct
import threading
from contextlib import suppress
from typing import Literal

Mode = Literal["pass", "cut", "stall", "lose"]
"""`cut`: connections are refused and broken. `stall`: they stand and nothing moves. `lose`: requests arrive, answers don't."""
RESET = struct.pack("ii", 1, 0)


class Forwarder:
    """Listens on `port` and forwards to `target`, both of this machine, as `mode` says at the moment."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.mode: Mode = "pass"
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.door.getsockname()[1]
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self) -> str:
        """Where clients find the server."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Accept nobody any more."""
        self.open = False
        self.door.close()

    def _accept(self) -> None:
        while self.open:
            try:
                client, _ = self.door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            if self.mode == "cut":
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                self._pump(client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        while self.open and self.mode != "cut":
            ready, _, _ = select.select([client, server], [], [], 0.05)
            for end in ready:
                if self.mode == "stall":
                    self._stand(client)
                    return
                content = end.recv(65536)
                if not content or (end is server and self.mode == "lose"):
                    return
                (server if end is client else client).sendall(content)

    def _stand(self, client: socket.socket) -> None:
        """Hold the connection, and let its bytes lie, until the client gives up or the line is cut."""
        while self.open and self.mode == "stall":
            ready, _, _ = select.select([client], [], [], 0.05)
            if ready and not client.recv(65536):
                return
