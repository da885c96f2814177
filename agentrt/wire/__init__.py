"""The Responses API as data: items, responses, events, the assembler that folds events, the SSE decoder.

Nothing here does I/O, but for ``media.py``, which reads the local files that a user makes parts of. Views (`Item`,
`Response`, `Event`) are thin and read-only over the dict that came, which stays reachable as ``raw``; unknown types and
fields are kept as they are.
"""
