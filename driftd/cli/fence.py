"""The generic package names are fenced: another owner of one stops the program, by name."""

from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path

OURS = ("agents", "detectors", "policies", "driftd")
DISTRIBUTION = "driftd"


def foreign_owners() -> str:
    """An empty string, or one sentence that names who else installs one of our packages."""
    owners = packages_distributions()
    here = Path(__file__).resolve().parents[2]
    for name in OURS:
        others = sorted(set(owners.get(name, ())) - {DISTRIBUTION})
        if others:
            return (
                f"the distribution {others[0]!r} also installs the package {name!r}. "
                f"Uninstall it or give driftd an environment of its own: pip uninstall {others[0]}"
            )
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or not _is_ours(origin, here):
            return f"the package {name!r} is imported from {origin}, which is not driftd's"
    return ""


def _is_ours(origin: Path, here: Path) -> bool:
    if origin.is_relative_to(here):
        return True
    try:
        files = distribution(DISTRIBUTION).files or ()
    except PackageNotFoundError:
        return False
    return any(Path(str(file.locate())).resolve() == origin for file in files)
