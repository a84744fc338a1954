"""Its WebSocket side."""
