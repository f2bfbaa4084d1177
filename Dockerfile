# One file, five images: `docker build --target TARGET .`
#   daemon   driftd with the small MLflow client: ingest, alerts, `driftd topics`, `driftd migrate`
#   serving  the same with the full MLflow and scikit-learn: control (it trains and evaluates) and
#            `driftd serve`
#   demo     the checkout with its year of flights: trains a first champion, plays live traffic
#   mlflow   the registry's server with PostgreSQL and S3
# Pin the base by digest where you build for production: --build-arg PYTHON=python:…@sha256:…
ARG PYTHON=python:3.11.15-slim-bookworm

FROM ${PYTHON} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY requirements/bootstrap.txt requirements/
RUN python -m pip install --require-hashes -r requirements/bootstrap.txt

# The wheels of this checkout; setuptools comes from the same lock file as everything else.
FROM tools AS wheels
COPY requirements/dev.txt requirements/
COPY pyproject.toml README.md LICENSE ./
COPY detectors detectors
COPY policies policies
COPY agents agents
COPY driftd driftd
COPY recorder recorder
RUN uv build --wheel --build-constraints requirements/dev.txt --require-hashes -o /wheels . \
 && uv build --wheel --build-constraints requirements/dev.txt --require-hashes -o /wheels recorder

# Each environment is made in a stage of its own: what compiles and fetches stays behind.
FROM tools AS daemon-env
COPY requirements/runtime.txt requirements/
RUN uv venv /opt/driftd \
 && uv pip install --python /opt/driftd/bin/python --require-hashes -r requirements/runtime.txt
COPY --from=wheels /wheels /wheels
RUN uv pip install --python /opt/driftd/bin/python --no-deps /wheels/*.whl

FROM tools AS serving-env
COPY requirements/serving.txt requirements/
RUN uv venv /opt/driftd \
 && uv pip install --python /opt/driftd/bin/python --require-hashes -r requirements/serving.txt
COPY --from=wheels /wheels /wheels
RUN uv pip install --python /opt/driftd/bin/python --no-deps /wheels/*.whl

# The demo runs from the checkout itself: no wheel.
FROM tools AS demo-env
COPY requirements/demo.txt requirements/
RUN uv venv /opt/driftd \
 && uv pip install --python /opt/driftd/bin/python --require-hashes -r requirements/demo.txt

FROM tools AS mlflow-env
COPY requirements/mlflow.txt requirements/
RUN uv venv /opt/mlflow \
 && uv pip install --python /opt/mlflow/bin/python --require-hashes -r requirements/mlflow.txt

# What every image starts from: a user without rights, a folder of its own, nothing that compiles.
FROM ${PYTHON} AS base
RUN groupadd --gid 10001 driftd \
 && useradd --uid 10001 --gid driftd --home-dir /var/lib/driftd --no-create-home --shell /usr/sbin/nologin driftd \
 && install -d -o driftd -g driftd -m 0750 /var/lib/driftd
# One thread for linear algebra: workers share their machine. Nothing is written but /tmp and the
# work folder, so that the root may be read-only.
ENV PATH=/opt/driftd/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 MPLCONFIGDIR=/tmp/matplotlib GIT_PYTHON_REFRESH=quiet \
    MLFLOW_DISABLE_TELEMETRY=true
LABEL org.opencontainers.image.title="driftd" \
      org.opencontainers.image.description="Watches models in production, retrains them, proves the new one on live traffic and takes it back." \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /var/lib/driftd
STOPSIGNAL SIGTERM

FROM base AS mlflow
ENV PATH=/opt/mlflow/bin:${PATH} MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
COPY --from=mlflow-env /opt/mlflow /opt/mlflow
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=6 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
ENTRYPOINT ["mlflow"]
CMD ["server", "--host", "0.0.0.0", "--port", "5000"]

FROM base AS serving
COPY --from=serving-env /opt/driftd /opt/driftd
COPY examples /opt/examples
USER 10001:10001
EXPOSE 8321 8322
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8321/health', timeout=4)"]
ENTRYPOINT ["driftd"]
CMD ["run", "--settings", "/etc/driftd/settings.yaml"]

FROM base AS demo
ENV PYTHONPATH=/opt/checkout:/opt/checkout/recorder
COPY --from=demo-env /opt/driftd /opt/driftd
COPY detectors /opt/checkout/detectors
COPY policies /opt/checkout/policies
COPY agents /opt/checkout/agents
COPY driftd /opt/checkout/driftd
COPY recorder /opt/checkout/recorder
COPY examples /opt/checkout/examples
USER 10001:10001
# It plays and ends; nobody asks it for anything.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "driftd.demo.live"]
CMD ["--help"]

# The last stage is what `docker build .` makes.
FROM base AS daemon
COPY --from=daemon-env /opt/driftd /opt/driftd
USER 10001:10001
EXPOSE 8321
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8321/health', timeout=4)"]
ENTRYPOINT ["driftd"]
CMD ["run", "--settings", "/etc/driftd/settings.yaml"]
