"""What an underlying's chain measures at a poll, and how unusual that is for it.

Belongs here: measures, their history, their standing in it, words. Does not belong here: contracts
(`domain/anomaly` itself), reading the lake (`derived/measuring`).
"""
