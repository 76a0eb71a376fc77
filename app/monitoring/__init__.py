"""Monitoring: the figures that Prometheus scrapes, from what the feed counts anyway."""
