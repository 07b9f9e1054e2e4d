"""CME's daily settlements of options on futures, from files that users saved: three layouts.

Belongs here: what CME's files say. Does not belong here: fetching them (CME's terms forbid it, and
its servers refuse machines), or how these options count beside a chain.
"""
