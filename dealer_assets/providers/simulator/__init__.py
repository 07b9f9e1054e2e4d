"""The embedded market: a seeded, deterministic stand-in for a vendor, priced free of arbitrage."""
