"""Tools and agents as an MCP server; see `agentrt.serve`. Imported on use: it imports mcp."""
