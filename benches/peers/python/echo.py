"""An echo server as an asyncio Protocol.

    python3 echo.py PORT     (0: any; it says which)
"""

import asyncio
import sys


class Echo(asyncio.Protocol):
    """Says what it hears; at the end asyncio closes, once all is sent."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    # Who does not read is not read from.

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def main(port):
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=4096)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
