"""An IAMAT server as an asyncio Protocol, on asyncio's own loop or on uvloop's.

    python3 protocol.py PORT            (0: any; it says which)
    python3 protocol.py PORT uvloop     (pip install uvloop)
"""

import asyncio
import sys

from iamat import LIMIT, Herd


class Session(asyncio.Protocol):
    """Serves one client: all lines of one receipt are answered by one write."""

    def __init__(self, herd):
        self.herd = herd
        self.begun = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        *lines, self.begun = (self.begun + data).split(b"\n")
        answers = b"".join(map(self.herd.answer, lines))
        if answers:
            self.transport.write(answers)
        if len(self.begun) > LIMIT:
            self.begun = b""
            self.transport.close()

    def eof_received(self):
        # A last line without an end still counts; what waits is sent before the transport closes.
        self.transport.write(self.herd.answer(self.begun))

    # Who does not read is not read from.

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def main(port):
    herd = Herd()
    event_loop = asyncio.get_running_loop()
    server = await event_loop.create_server(lambda: Session(herd), "127.0.0.1", port, backlog=4096)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if "uvloop" in sys.argv[2:]:
        import uvloop

        uvloop.install()
    asyncio.run(main(int(sys.argv[1])))
