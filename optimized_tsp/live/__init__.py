"""The websocket feed: subscribe, replay, follow (docs/live-feed.md)."""
