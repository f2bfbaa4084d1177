"""The shelf of routers: one written line a kind; others come by entry points ``driftd.routers``."""

import os
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from driftd.errors import MistakeError
from driftd.kafka import librdkafka_options
from driftd.routers.contract import Router
from driftd.routers.driftd_traffic import DriftdTraffic
from driftd.routers.webhook import Webhook
from driftd.sections import RouterSettings
from driftd.settings import Settings

# What builds a router from its section of the settings and all of them.
Build = Callable[[RouterSettings, Settings], Router]
ENTRY_POINTS = "driftd.routers"


def _driftd(router: RouterSettings, settings: Settings) -> Router:
    return DriftdTraffic(
        librdkafka_options(settings.kafka), settings.topics.traffic, router.deadline_s
    )


def _webhook(router: RouterSettings, _: Settings) -> Router:
    if router.url is None:
        raise MistakeError("url: is missing; a webhook needs one")
    headers = {}
    if router.token_env is not None:
        if router.token_env not in os.environ:
            raise MistakeError(f"token_env: the variable {router.token_env} is not set")
        headers["Authorization"] = f"Bearer {os.environ[router.token_env]}"
    return Webhook(router.url, router.deadline_s, headers)


ROUTERS: Mapping[str, Build] = {
    "driftd": _driftd,
    "webhook": _webhook,
}


def build_routers(settings: Settings) -> dict[str, Router]:
    """Name -> router, for each one the settings name. Raises ``MistakeError``."""
    others = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    made: dict[str, Router] = {}
    for name, section in sorted(settings.routers.items()):
        build = ROUTERS.get(section.kind)
        if build is None and section.kind in others:
            build = others[section.kind].load()
        if build is None:
            known = ", ".join(sorted({*ROUTERS, *others}))
            raise MistakeError(f"routers.{name}.kind: no kind {section.kind!r}; there is {known}")
        try:
            made[name] = build(section, settings)
        except MistakeError as error:
            raise MistakeError(f"routers.{name}.{error}") from error
    return made
