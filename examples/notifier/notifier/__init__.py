"""Sends notifications to the browsers of signed-in users, over WebSocket."""
