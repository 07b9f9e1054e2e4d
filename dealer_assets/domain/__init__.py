"""Pure numbers: arrays and Arrow tables in, arrays and tables out. No I/O, clock or environment."""
