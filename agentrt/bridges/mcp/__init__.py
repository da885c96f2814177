"""MCP servers become tools.

``server.py`` is what users see. ``connection.py`` keeps one server connected on one event loop, over a ``link.py`` that
is a process (``stdio.py``), an address (``http.py``) or a server object; ``sanitise.py`` stands between it and the SDK.
``calling.py`` makes one request, with its deadlines. ``listing.py``, ``names.py``, ``schemas.py`` and ``tool.py`` make
tools of what a server lists, ``outputs.py`` the output of what a call gave. ``config.py`` reads files, ``lock.py`` and
``trust.py`` say what of a server to believe.
"""
