"""Ready-made tools for agentrt's agents. They use agentrt's public names only.

>>> from agentrt_tools import calculator, count_lines
"""

from agentrt_tools.calculator import calculator
from agentrt_tools.files import count_lines

__all__ = ["calculator", "count_lines"]
