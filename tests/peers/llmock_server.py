"""llmock: a model that misbehaves on demand. ``python llmock_server.py SEED``; what it does by chance has the seed."""

import random
import sys

from hosting import serve_app
from llmock.main import create_app

random.seed(int(sys.argv[1]))
serve_app(create_app())
