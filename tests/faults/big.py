"""Ask a server that sends 1 GiB, and print what came of it and by how many MiB the process grew."""

import resource
import sys

import anyio
import httpx
import httpx2

from agentrt import AgentrtError, Client


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main() -> None:
    url, how, library = sys.argv[1:]
    http = {"pool": None, "httpx2": httpx2, "httpx": httpx}[library]
    own = None if http is None else http.AsyncClient()
    async with Client(base_url=url, http_client=own, max_retries=0, timeout=30) as client:
        client.prepare(model="warm", input="up")
        before = peak()
        try:
            if how == "stream":
                async with client.stream(model="m", input="hi") as stream:
                    async for _ in stream:
                        pass
            else:
                await client.create(model="m", input="hi")
        except AgentrtError as error:
            print(type(error).__name__, round(peak() - before, 1))
    if own is not None:
        await own.aclose()


anyio.run(main)
