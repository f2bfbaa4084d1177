"""Options that several commands have."""

from enum import StrEnum
from typing import Annotated

import typer


class Level(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LogLevel = Annotated[Level, typer.Option(help="From which level on lines are logged.")]
