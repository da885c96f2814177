"""A function becomes a tool, and calls become outputs.

How a function becomes a schema (``form.py``): ``signature.py`` and ``docstring.py`` read it, ``annotation.py`` asks
pydantic about each type, ``schema.py`` composes the schema, ``strict.py`` closes it. How a call becomes an output
(``dispatch.py``): ``arguments.py`` checks what the model gave, ``decode.py`` undoes what strict mode did to it,
``tool.py`` runs the function (sync ones in ``threads.py``), ``output.py`` writes the result.
"""

from agentrt.registry.context import Context
from agentrt.registry.registry import Registry
from agentrt.registry.tool import Tool, tool

__all__ = ["Context", "Registry", "Tool", "tool"]
