"""Whether ingest takes part: what it waits for, and what a person should know."""

from driftd.ingest.plans import Plans
from driftd.ingest.poll_loop import PollLoop
from driftd.ingest.scout import Scout


def missing(loop: PollLoop, scout: Scout, plans: Plans) -> tuple[str, ...]:
    """What is missing before partitions are read: nothing where no policy is published, where other
    workers own them all, or where a topic does not exist: then a policy has to be mended, and the
    API must be reached for that."""
    if scout.looked_for != plans.topics or loop.subscribed != scout.topics:
        return ("ingest looks for the topics of the policies in force",)
    ownership = loop.ownership
    if not loop.subscribed or (ownership.settled and not ownership.assigned):
        return ()
    if not ownership.settled:
        return ("the consumer group has not given this worker its partitions of events yet",)
    if not ownership.owning:
        return ("the store has not said yet from where the partitions are to be read",)
    return ()


def absent_topics(scout: Scout, plans: Plans) -> tuple[str, ...]:
    """One line about topics that policies name and the broker does not have."""
    absent = sorted(plans.topics - scout.topics)
    if not absent:
        return ()
    names = ", ".join(absent)
    return (f"a policy names {names}, which the broker does not have: driftd topics create",)


def absent_vectors(plans: Plans) -> tuple[str, ...]:
    """One line about each text that a policy has encoded and no stream of its model can take."""
    return tuple(
        f"{model}: events.encode names {name}, which is no vector in the model's profile: make one "
        f"with driftd data profile --encode {name}=ENCODER"
        for model, plan in sorted(plans.models.items())
        for name in sorted(plan.texts - plan.encode.keys())
        if plan.profile_id
    )
