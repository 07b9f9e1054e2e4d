"""Polygon's (Massive's) REST interface: chains, listings, trades, quotes, bars, index values."""
