"""Every expression of a dashboard's JSON, and what stands in it once Grafana has filled it in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)")
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), *(?P<label>\w+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """``where`` it stands; ``instant``: asked as of now, not over time."""

    where: str
    text: str
    instant: bool = False

    def filled(self, values: Mapping[str, str]) -> str:
        """The same without variables. Raises ``KeyError`` for one that has no value."""
        return _VARIABLE.sub(lambda found: values[found[1] or found[2]], self.text)


def expressions(dashboard: Mapping[str, Any]) -> Iterator[Expression]:
    """Those of panels, of panels in rows, of annotations and of variables."""
    title = dashboard["title"]
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            where = f"{title}: {panel['title']}"
            yield Expression(where=where, text=target["expr"], instant=bool(target.get("instant")))
    for annotation in dashboard.get("annotations", {}).get("list", ()):
        if "expr" in annotation:
            yield Expression(where=f"{title}: {annotation['name']}", text=annotation["expr"])
    for variable in dashboard["templating"]["list"]:
        found = _LABEL_VALUES.fullmatch(str(variable.get("query", "")))
        if found is not None:
            text = f"group by ({found['label']}) ({found['series']})"
            yield Expression(where=f"{title}: ${variable['name']}", text=text, instant=True)


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every panel that shows something, in order."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels") or ()
        else:
            yield panel
