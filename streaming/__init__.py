"""The companion process: live quotes and trades in, intraday dealer gamma out.

::

    feeds ─ Frame ─> inbox ─ decode ─> Events ─ book ─> trades ─ engine ─> rows ─ sink ─> lake
                       └─ recording                              └─ View ─> api

Belongs here: everything between a venue's socket and a part in the lake. Does not belong here:
formulas (`dealer_assets.domain`), anything of Dagster. `book` and `engine` are synchronous and know
no clock but the events': live, replay and tests run the same code and give the same rows. The batch
side never imports this package; they meet in the lake.
"""
