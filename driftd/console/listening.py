"""Where the API listens and who may write to it, as the settings say."""

import os
import socket
from errno import EADDRINUSE

from driftd.errors import MistakeError
from driftd.sections import HttpSettings


def token_of(http: HttpSettings) -> str | None:
    """The token that wishes need, or None. An empty variable is no token: it would let everyone in."""
    return os.environ.get(http.token_env) or None


def listener(http: HttpSettings) -> socket.socket:
    """A socket that listens on ``http.host`` and ``http.port``; close it when all is over.

    Raises ``MistakeError`` when it cannot be had, before anything else was started.
    """
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        return socket.create_server((http.host, http.port), family=family)
    except OSError as error:
        why = "another program listens there" if error.errno == EADDRINUSE else str(error.strerror)
        raise MistakeError(
            f"the API cannot listen on {http.host}:{http.port}: {why}. Is another `driftd run` up? "
            "Else choose another http.port in the settings (0: any free one)"
        ) from error
