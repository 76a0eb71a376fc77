"""Access: who may see and do what. Knows neither Flask nor the feed; ``app/api/guard.py`` asks it for each request."""
