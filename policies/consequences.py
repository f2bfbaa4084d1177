"""What each default means: the value in force and what follows from it, one line a key."""

from collections.abc import Callable, Iterator, Mapping

from pydantic import BaseModel

from policies.compile import QUALITY_RULE, compile_rule
from policies.specs import CanarySpec, ModelSpec, RetrainSpec, StepSpec
from policies.strict import keys_of
from policies.units import duration_text, number_text, share_text

Told = tuple[str, str]
"""The value in force and its consequence."""
Tell = Callable[[ModelSpec], Told]


def defaults_of(section: BaseModel, path: str = "") -> Iterator[str]:
    """The keys that a document leaves to their defaults, as dotted paths, in the order of §10."""
    for key, info in keys_of(type(section)).items():
        name = next(n for n, one in type(section).model_fields.items() if one is info)
        here, value = f"{path}{key}", getattr(section, name)
        if isinstance(value, BaseModel):
            yield from defaults_of(value, f"{here}.")
        elif name not in section.model_fields_set:
            yield here


def tell(path: str, spec: ModelSpec) -> Told:
    """What the default at ``path`` comes to in this policy."""
    return CONSEQUENCES[path](spec)


def _always(value: str, consequence: str) -> Tell:
    return lambda _: (value, consequence)


def _retrain(spec: ModelSpec) -> RetrainSpec:
    return spec.retrain or RetrainSpec()


def _canary(spec: ModelSpec) -> CanarySpec:
    return spec.canary or CanarySpec()


_MODES: Mapping[str, str] = {
    "observe": "everything is shown, nobody is told, nothing is done",
    "alert": "people are told; nothing is trained or promoted by itself",
    "retrain": "new versions are trained and evaluated; people promote them",
    "auto": "new versions are trained, proven on live traffic, promoted and taken back",
}


def step_text(step: StepSpec) -> str:
    """One step of a canary as a policy writes it."""
    parts = [f"weight {share_text(step.weight)}"] if step.weight else []
    parts += [f"shadow {share_text(step.shadow)}"] if step.shadow else []
    return f"{', '.join(parts)} for {duration_text(step.for_s)}"


def _rules(spec: ModelSpec) -> Told:
    name = compile_rule(QUALITY_RULE, spec.clock.pane_s).name
    return name, "quality is watched against the training data; nothing else has a limit"


def _maturity(spec: ModelSpec) -> Told:
    wait = duration_text(spec.labels.maturity_s)
    return wait, f"quality is known {wait} after a prediction; later labels are counted as late"


def _pane(spec: ModelSpec) -> Told:
    pane = duration_text(spec.clock.pane_s)
    return pane, f"drift is decided every {pane}, after 3 panes at the earliest"


def _tolerated(tolerance: float, what: str) -> Told:
    return number_text(tolerance), f"{what} up to this is no drift"


def _judges(spec: ModelSpec) -> Told:
    names = [judge.name for judge in _canary(spec).judge]
    return "; ".join(names), "each must be proven before a promotion, any one takes a version back"


def _levels(value: float, what: str) -> Told:
    return share_text(value), f"at most so many {what}"


CONSEQUENCES: Mapping[str, Tell] = {
    "owner": _always("none", "alerts name no owner"),
    "mode": lambda s: (s.mode, _MODES[s.mode]),
    "registry.name": lambda s: (s.registry.name, "the model's name in the registry"),
    "registry.champion": lambda s: (s.registry.champion, "the alias of the version that answers"),
    "registry.challenger": lambda s: (s.registry.challenger, "the alias of the version on trial"),
    "registry.previous": lambda s: (s.registry.previous, "the alias of the way back"),
    "events.predictions": lambda s: (s.events.predictions, "the topic of predictions"),
    "events.labels": lambda s: (s.events.labels, "the topic of labels"),
    "events.sources": _always("none", "only the features in predictions are watched"),
    "events.map": _always("none", "events use driftd's own field names"),
    "events.encode": _always("none", "texts are not turned into vectors here"),
    "labels.arrive_within": lambda s: (
        duration_text(s.labels.arrive_within_s),
        "a prediction waits so long for its label",
    ),
    "labels.maturity": _maturity,
    "labels.depend_on_prediction": _always("false", "versions are compared on shadow answers"),
    "labels.positive": _always("none", "a label counts as 1 if it says so itself: 1 or true"),
    "clock.pane": _pane,
    "clock.lateness": lambda s: (duration_text(s.clock.lateness_s), "a pane waits so long"),
    "clock.idle": lambda s: (
        duration_text(s.clock.idle_s),
        "a partition silent for so long holds nothing up",
    ),
    "privacy.drop": _always("none", "every field is kept"),
    "privacy.hash": _always("none", "no field is hashed"),
    "watch.false_alarms": lambda s: (
        f"{number_text(s.drift.false_alarms)} per {duration_text(s.drift.budget_s)}",
        "drift streams and sequential rules share it; point rules lie outside",
    ),
    "watch.drift.enabled": _always("true", "every feature, the score, the predicted label"),
    "watch.drift.ignore": _always("none", "no stream is left out"),
    "watch.drift.tolerate.ks": lambda s: _tolerated(
        s.drift.tolerate_ks, "a KS distance (a shift of about a quarter sd)"
    ),
    "watch.drift.tolerate.psi": lambda s: _tolerated(s.drift.tolerate_psi, "a PSI"),
    "watch.drift.tolerate.mmd": lambda s: _tolerated(s.drift.tolerate_mmd, "an MMD distance"),
    "watch.drift.tolerate.share": lambda s: (
        share_text(s.drift.tolerate_share),
        "a share (missing values, label arrival, wrong answers) may change by so many points",
    ),
    "watch.drift.tolerate.loss": lambda s: _tolerated(
        s.drift.tolerate_loss, "a Brier score beyond what the scores expect"
    ),
    "watch.drift.tolerate.calibration": lambda s: _tolerated(
        s.drift.tolerate_calibration, "a distance of labels from scores, whatever the base rate,"
    ),
    "watch.advisors": _always("none", "no second opinions are shown"),
    "watch.rules": _rules,
    "retrain": _always("none", "nothing is ever trained"),
    "retrain.on": _always("quality", "drift alone trains nothing; add input_drift if it shall"),
    "retrain.needs.labels_since_onset": _always("0", "a training waits for no new labels"),
    "retrain.limits.cooldown": lambda s: (
        duration_text(_retrain(s).cooldown_s),
        "between a training or rollout and the next training",
    ),
    "retrain.limits.budget": lambda s: (
        f"{_retrain(s).budget_count} per {duration_text(_retrain(s).budget_per_s)}",
        "trainings at most, those that people ask for included",
    ),
    "retrain.limits.attempts": lambda s: (
        str(_retrain(s).attempts),
        "trainings an incident may start, then people are asked",
    ),
    "retrain.limits.trainings": _always("none", "there is no ceiling on trainings ever"),
    "retrain.data.window": lambda s: (
        duration_text(_retrain(s).window_s),
        "the data that is trained on, newest first",
    ),
    "retrain.data.holdout": lambda s: (
        share_text(_retrain(s).holdout),
        "the newest part is withheld to judge by; then it is trained on too",
    ),
    "gate": _always("none", "offline, only the metric that raised the incident must improve"),
    "canary": _always("none", "no version is ever proven on live traffic"),
    "canary.steps": lambda s: (
        "; ".join(step_text(step) for step in _canary(s).steps),
        "the share of users on a new version, and who is answered by both",
    ),
    "canary.judge": _judges,
    "canary.give_up_after": lambda s: (
        duration_text(_canary(s).give_up_after_s),
        "then traffic goes back; the version is not barred",
    ),
    "canary.levels.roll_back": lambda s: _levels(
        _canary(s).alpha_roll_back, "equally good versions are taken back"
    ),
    "canary.levels.promote": lambda s: _levels(
        _canary(s).alpha_promote, "versions just beyond a margin are promoted"
    ),
    "canary.router": lambda s: (_canary(s).router, "who splits the traffic"),
    "promote.approval": _always("none", "evidence alone promotes"),
    "promote.probation": lambda s: (
        duration_text(s.promote.probation_s),
        "the old version stays loaded and can come back at once",
    ),
    "promote.reverse_shadow": lambda s: (
        share_text(s.promote.reverse_shadow),
        "of the requests are answered by the old version too, in probation",
    ),
}
