"""The volatility surface of one snapshot: fit, fallbacks, arbitrage, metrics, grid, quality."""
