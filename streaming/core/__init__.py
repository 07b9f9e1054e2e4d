"""Synchronous and replayable: the listing, the book, the engine and the rows they make.

Belongs here: what turns frames' events into rows, knowing no clock but the events'. Does not belong
here: asyncio, sockets, files, wall clocks; live, replay and tests run exactly this code.
"""
