"""The command that the conformance suite starts: it hands the scenario to the test, which plays it.

So 64 scenarios cost one import of agentrt instead of 64, and are played on both event loops.
"""

import json
import os
import socket
import sys

NAMES = ("MCP_CONFORMANCE_SCENARIO", "MCP_CONFORMANCE_PROTOCOL_VERSION", "MCP_CONFORMANCE_CONTEXT")

with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as line:
    line.sendall(json.dumps([sys.argv[2], *map(os.environ.get, NAMES)]).encode() + b"\n")
    failed = json.loads(line.makefile().readline())
print(*failed, sep="\n", file=sys.stderr)
sys.exit(1 if failed else 0)
