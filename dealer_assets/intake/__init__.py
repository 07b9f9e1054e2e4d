"""What vendors, files and publishers tell, on its way into the lake.

Belongs here: what is asked of whom, what is held already, storing it with its provenance. Does not
belong here: how a vendor is asked (`providers`), storage (`lake`), what follows from rows
(`derived`), when it happens (`defs`).
"""
