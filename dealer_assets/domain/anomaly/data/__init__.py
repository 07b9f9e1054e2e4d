"""What is wrong with a snapshot's data, before anything in it is called unusual.

Belongs here: one module a family of detectors, and the judgement that asks all of them. Does not
belong here: reading the lake (`derived/data_quality.py`), market anomalies (the modules above).
"""
