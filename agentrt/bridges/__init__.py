"""What runs elsewhere becomes tools."""
