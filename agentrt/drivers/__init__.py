"""Whatever performs effects. `local.py` runs in this process; `sync.py` lets sync code wait for it."""
