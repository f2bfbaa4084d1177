"""The `driftd` command: flat verbs for every day, groups for the rest."""

import importlib
import sys

import typer

from driftd.cli import fence
from driftd.errors import DriftdError, OutsideError

# Every module here has `register(app)`. Written out, in the order in which help shows them.
COMMANDS = (
    "run", "demo", "check", "status", "report", "operate", "serve", "migrate", "topics", "data", "model",
)  # fmt: skip
EXIT_GOOD, EXIT_MISTAKE, EXIT_OUTSIDE = 0, 1, 3


def build() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="driftd",
        help="Watches machine-learning models in production and closes the loop.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        epilog="Exit codes: 0 good, 1 a mistake in what was given, 2 usage, 3 something outside "
        "(daemon, broker, store, registry) could not be reached or refused.",
    )
    for name in COMMANDS:
        importlib.import_module(f"driftd.cli.{name}").register(app)
    return app


def main() -> int:
    """Run one command; what driftd can name is told in one line, not as a traceback."""
    clash = fence.foreign_owners()
    if clash:
        print(f"driftd cannot start: {clash}", file=sys.stderr)
        return EXIT_MISTAKE
    try:
        # Typer itself tells wrong usage (exit code 2) and ends with the code of a command.
        build()()
    except DriftdError as error:
        print(f"driftd: {error}", file=sys.stderr)
        return EXIT_OUTSIDE if isinstance(error, OutsideError) else EXIT_MISTAKE
    return EXIT_GOOD


if __name__ == "__main__":
    sys.exit(main())
