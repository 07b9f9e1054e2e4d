"""What differs from normal, contract by contract: features, baselines, scores, and bad data first.

Belongs here: pure numbers of monitored contracts. Does not belong here: what is told to whom
(`domain/alerting`).
"""
