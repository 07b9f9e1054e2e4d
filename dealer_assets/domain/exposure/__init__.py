"""Positions, exposures, profiles and levels: what the dealers hold and what follows from it."""
