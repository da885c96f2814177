"""What the peers' processes share: each tells its address once it serves, and ends with the test run's end of the pipe.

They run in processes of their own, so that their event loops, threads and warnings are not those of the tests.
"""

import os
import sys
import threading


def end_with_stdin():
    """End this process as soon as nobody holds the other end of its standard input any more."""

    def watch():
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def tell(url):
    """Say where the peer is served, as the first line of standard output."""
    print(url, flush=True)


def serve_app(app):
    """Serve an ASGI application on a free port of loopback until standard input ends."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            tell(f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}")

    end_with_stdin()
    Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")).run()
