"""llama.cpp's own HTTP server, in this process: ``python llamacpp_server.py WEIGHTS TEMPLATE KEY``."""

import os
import sys
import threading
from pathlib import Path

os.environ["GOMP_SPINCOUNT"] = "0"  # without it the threads spin while they wait: a tenth of the speed on busy cores

import xllamacpp
from hosting import end_with_stdin, tell

end_with_stdin()
weights, template, key = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = weights
params.chat_template = Path(template).read_text()
params.api_keys = [key]
params.port = 0
params.n_parallel = 8  # each keeps the prompt that it has read last,
params.slot_prompt_similarity = 0.7  # so one that is much like it is soon read
params.n_ctx = params.n_parallel * 2048
params.n_gpu_layers = 0
params.warmup = False
params.verbosity = -1
params.cpuparams.n_threads = max(1, min(8, os.cpu_count() or 1))
params.cors_origins = "http://127.0.0.1"
server = xllamacpp.Server(params)  # listens until it is collected
tell(server.listening_address)
threading.Event().wait()
