"""Where sessions (conversations under an id) and runs (states under a run id) are kept, as texts.

``base.py`` says what a store is; ``memory.py`` keeps in this process; ``sqlite.py`` keeps in one file, whose blocking
half is ``database.py``.
"""

from agentrt.store.base import Kind, Store
from agentrt.store.memory import MemoryStore
from agentrt.store.sqlite import SQLiteStore

__all__ = ["Kind", "MemoryStore", "SQLiteStore", "Store"]
