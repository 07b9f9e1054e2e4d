"""``python -m streaming``: `dealer live` with everything from settings, for service managers."""

from __future__ import annotations

import sys

from dealer_assets.errors import DealerError
from dealer_assets.settings import settings
from dealer_assets.underlyings import underlying
from streaming.process.desk_life import Choice
from streaming.process.running import log_to_terminal, run_live
from streaming.process.supervisor import REFUSED, USAGE


def main() -> int:
    """Run the live process; return its exit code."""
    if len(sys.argv) > 1:
        sys.stderr.write(
            "python -m streaming takes no arguments: everything comes from DEALER_... settings; "
            "`dealer live --help` shows the command with options\n"
        )
        return USAGE
    log_to_terminal()
    try:
        own = settings()
        choice = Choice(
            lanes=tuple(underlying(symbol) for symbol in own.lanes), records=own.stream_record
        )
        return run_live(own, choice, serves=True, say=_say)
    except DealerError as error:
        _say(f"error: {error}")
        return REFUSED


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
