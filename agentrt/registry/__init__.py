"""A function becomes a tool, and calls become outputs.

How a docstring becomes a schema: ``docstring.py`` reads it, ``schema.py`` composes the schema, ``strict.py`` closes it.
How a call becomes an output: ``arguments.py`` checks what the model gave, ``tool.py`` runs the function (sync ones in
``threads.py``), ``output.py`` writes the result, ``dispatch.py`` runs a batch.
"""

from agentrt.registry.registry import Registry
from agentrt.registry.tool import Tool, tool

__all__ = ["Registry", "Tool", "tool"]
