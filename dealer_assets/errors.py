"""Every error the platform raises on purpose.

Belongs here: exception classes only. Each message says what was expected, what was found and
what to do. Does not belong here: handling; that is decided where the error is caught.

::

    DealerError                    anything the platform refuses with a reason
    ├── BadInputError              a file, payload or argument that cannot be believed
    │   ├── UnknownUnderlyingError a symbol without an entry in the registry
    │   └── UndatedChainError      a chain whose session cannot be told
    ├── ProviderError              a vendor could not be asked, or refused
    │   ├── ProviderUnavailableError   transport failure or 5xx; worth a retry
    │   │   ├── RateLimitedError           429: asked too often
    │   │   └── GarbledAnswerError         cut off, HTML, or not what was asked for
    │   ├── NotEntitledError           401 or 403; a retry will not help
    │   ├── NoDataError                the vendor answered: nothing there
    │   └── NotOfferedError            this provider has no such data; ask another
    └── LakeError                  storage refused or would be inconsistent
        ├── SchemaError            rows do not match the table's dictionary entry
        └── LakeUnavailableError   the lake cannot be read or written where it is configured
"""


class DealerError(Exception):
    """Base of all deliberate refusals; the command line prints it without a traceback."""


class BadInputError(DealerError):
    """A file, payload or argument that cannot be believed."""


class UnknownUnderlyingError(BadInputError):
    """A symbol or root without an entry in `dealer_assets.underlyings`."""


class UndatedChainError(BadInputError):
    """A chain whose trading session cannot be told from header, name or contents."""


class ProviderError(DealerError):
    """A vendor could not be asked, or refused to answer."""


class ProviderUnavailableError(ProviderError):
    """Transport failure, time-out or 5xx: a later attempt may succeed.

    Parameters
    ----------
    message : str
        What was expected, what was found, what to do.
    retry_after_seconds : float
        Least pause that the vendor asked for; 0 when it asked for none.
    """

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RateLimitedError(ProviderUnavailableError):
    """The vendor was asked too often, and went on refusing after the pauses it wanted."""


class GarbledAnswerError(ProviderUnavailableError):
    """The vendor answered, but cut off, with a web page, or with something that was not asked."""


class NotEntitledError(ProviderError):
    """The vendor refuses these credentials or this plan: a retry will not help."""


class NoDataError(ProviderError):
    """The vendor answered that it has nothing for the request."""


class NotOfferedError(ProviderError):
    """The provider does not have this kind of data at all; its capabilities say so."""


class LakeError(DealerError):
    """Storage refused, or accepting would make it inconsistent."""


class SchemaError(LakeError):
    """Rows do not match the table's entry in `dealer_assets.tables`."""


class LakeUnavailableError(LakeError):
    """The lake cannot be read or written at its configured place."""
