"""The test exchange: every vendor we speak to, on one loopback port, over one made-up market.

Belongs here: servers that answer as the vendors do, their faults included. Does not belong here:
anything of the platform; it is reached by setting the platform's base URLs to this one.

`clock` and `faults` are what tests steer, `world` is what the vendors talk about, one module per
vendor protocol says how, `server` binds them, `running` starts it for a test.
"""
