"""Tools and agents as an MCP server; see `agentrt.serve`. Its modules import mcp, all but `options`."""
