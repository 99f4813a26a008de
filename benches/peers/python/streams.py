"""An IAMAT server with asyncio's streams: a task for each client.

    python3 streams.py PORT     (0: any; it says which)
"""

import asyncio
import sys

from iamat import LIMIT, Herd


async def serve(herd, reader, writer):
    """Serves one client: a line, its answer, and so on."""
    try:
        # At the end, a last line without an end still counts.
        while line := await reader.readline():
            writer.write(herd.answer(line))
            await writer.drain()
    except (ValueError, ConnectionError):
        pass  # A line over the limit; or the client is gone.
    finally:
        writer.close()


async def main(port):
    herd = Herd()
    server = await asyncio.start_server(
        lambda reader, writer: serve(herd, reader, writer), "127.0.0.1", port, limit=LIMIT, backlog=4096
    )
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
