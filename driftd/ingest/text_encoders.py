"""The encoders of the settings, ready to be started when a policy's texts need them."""

import sys
from functools import partial
from itertools import product

from driftd.clients.environment import model_environment
from driftd.data.encoding import EncoderSpec
from driftd.data.live_encoder import LiveEncoder
from driftd.ingest.texts import OUTCOMES, BoundedEncoder, Texts
from driftd.sections import REGISTERED, EncoderSettings, MlflowSettings
from driftd.settings import Settings
from driftd.telemetry import Metrics


def text_encoders(settings: Settings, metrics: Metrics) -> Texts:
    """All of them; none is started yet, and one that cannot be is told when it is needed."""

    def count(encoder: str, outcome: str, texts: int) -> None:
        metrics.texts.labels(encoder, outcome).inc(texts)

    for name, outcome in product(settings.encoders, OUTCOMES):
        metrics.texts.labels(name, outcome)
    bounded = {
        name: BoundedEncoder(
            LiveEncoder(partial(_spec, encoder, settings.mlflow)),
            texts_max=encoder.texts_per_flush,
            timeout_s=encoder.timeout_s,
        )
        for name, encoder in settings.encoders.items()
    }
    return Texts(bounded, count)


def _spec(encoder: EncoderSettings, mlflow: MlflowSettings) -> EncoderSpec:
    environment = {}
    if encoder.source.startswith(REGISTERED):
        environment = {"MLFLOW_TRACKING_URI": mlflow.tracking_uri, **model_environment(mlflow)}
    return EncoderSpec(
        source=encoder.source,
        python=str(encoder.python or mlflow.python or sys.executable),
        environment=environment,
        memory_bytes=encoder.memory_bytes,
        load_timeout_s=encoder.load_timeout_s,
        threads=encoder.threads,
        quiet=True,
    )
