"""`driftd data …`: what is done with data at rest."""

import json
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli import at_rest
from driftd.cli.at_rest import AsJson, Ignore, Label, Positive, Score, Table, Text, Time
from driftd.cli.data_baseline import baseline
from driftd.cli.data_check import check
from driftd.cli.data_compare import compare
from driftd.cli.data_replay import replay
from driftd.errors import MistakeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.contract import Layout
    from detectors.profile import StreamProfile
    from driftd.data.encoding import EncoderSpec
    from driftd.data.export import Manifest
    from driftd.data.profile_file import FileProfile

# What an encoder in the registry may need to be reached.
_REGISTRY = ("MLFLOW_", "AWS_")
Out = Annotated[
    Path, typer.Option(help="Where the profile goes; .json for people, else compressed.")
]
Layouts = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="A profile of the model whose cells are used again."
    ),
]
Encode = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=ENCODER",
        help="Watch a column of texts as vectors: ENCODER is a folder that transformers has saved, "
        "or models:/NAME/VERSION at MLFLOW_TRACKING_URI. Nothing is downloaded. May be repeated.",
    ),
]
EncoderPython = Annotated[
    str | None, typer.Option(help="The Python that has the encoder's libraries; default: this one.")
]
EncodeRows = Annotated[int, typer.Option(min=100, help="How many rows are encoded, drawn by hash.")]
LogTo = Annotated[
    str | None,
    typer.Option(
        help="Also log it with --version of this registered model, at MLFLOW_TRACKING_URI, "
        "where the daemon looks for it."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Profile, compare, check, replay and export data at rest.")
    app.add_typer(group, name="data")
    for command in (profile, compare, check, replay, baseline, export):
        group.command()(command)


def profile(
    file: Table,
    out: Out,
    label: Label = None,
    score: Score = None,
    time: Time = None,
    ignore: Ignore = None,
    text: Text = None,
    positive: Positive = None,
    negative: Annotated[str, typer.Option(help="The negative label.")] = "0",
    version: Annotated[str, typer.Option(help="The model version that was trained on it.")] = "",
    layouts: Layouts = None,
    encode: Encode = None,
    encoder_python: EncoderPython = None,
    encode_rows: EncodeRows = 10_000,
    log_to: LogTo = None,
    as_json: AsJson = False,
) -> None:
    """Count how the training data of a version looks: the reference that drift is measured from."""
    from driftd.data.encoded import parse_encoders
    from driftd.data.profile import RESERVED, Columns
    from driftd.data.profile_file import profile_file

    registry = {name: value for name, value in os.environ.items() if name.startswith(_REGISTRY)}
    encoders = parse_encoders(encode or [], encoder_python, registry)
    known = _layouts(layouts)
    encoded = _encoded(file, encoders, known, encode_rows)
    left_out = RESERVED | frozenset(ignore or ()) | encoders.keys()
    names = frozenset(text or ()) | encoders.keys()
    columns = Columns(label=label, score=score, time=time, ignore=left_out, text=names)
    with at_rest.progress(f"profiling {file.name}") as bar:
        found = profile_file(
            file,
            columns,
            layouts=known,
            version=version,
            positive=positive,
            negative=negative,
            progress=bar,
        )
    streams = {**found.profile.streams, **encoded}
    found = replace(found, profile=replace(found.profile, streams=streams))
    data = found.profile.to_bytes()
    out.write_bytes(zlib.decompress(data) if out.suffix == ".json" else data)
    if log_to is not None:
        _log(log_to, version, data)
    print(json.dumps(_summary(found, out)) if as_json else _told(found, out))


def export(
    model: Annotated[str, typer.Argument(help="The model as its policy names it.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    since: Annotated[str, typer.Option(help="First event time: 2013-01-01 or seconds.")] = "0",
    until: Annotated[str, typer.Option(help="End, not included: 2013-03-01 or seconds.")] = "9e9",
    holdout: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the newest time to withhold.")
    ] = 0.0,
    positive: Positive = None,
    settings: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Says where the archive is.")
    ] = None,
    archive: Annotated[str | None, typer.Option(help="A folder or URL, instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write labelled requests from the archive as training data: what a trainer would get."""
    from dataclasses import asdict

    from driftd.data.archive import Archive
    from driftd.data.export import GATE, REFIT, export_training
    from driftd.settings import load_settings

    if archive is None and settings is None:
        raise MistakeError("say where the archive is: --settings FILE or --archive FOLDER")
    source = Archive(archive or load_settings(settings or Path()).archive)
    if model not in source.models():
        known = ", ".join(source.models()) or "none yet"
        raise MistakeError(f"the archive {source.url} has no model {model!r}; there is: {known}")
    manifest = export_training(
        source,
        model,
        at_rest.seconds("--since", since),
        at_rest.seconds("--until", until),
        out,
        phase=GATE if holdout else REFIT,
        holdout=holdout,
        positive=positive,
    )
    print(json.dumps(asdict(manifest)) if as_json else _exported(manifest, out))


def _layouts(file: Path | None) -> "Mapping[str, Layout] | None":
    from driftd.data.profile_file import read_profile

    if file is None:
        return None
    return read_profile(file).layouts


def _encoded(
    file: Path,
    encoders: "Mapping[str, EncoderSpec]",
    known: "Mapping[str, Layout] | None",
    rows: int,
) -> "dict[str, StreamProfile]":
    from driftd.data.encoded import encoded_stream

    found = {}
    for column, spec in encoders.items():
        with at_rest.progress(f"encoding {column}") as bar:
            earlier = (known or {}).get(column)
            found[column] = encoded_stream(file, column, spec, earlier, rows=rows, progress=bar)
    return found


def _log(name: str, version: str, data: bytes) -> None:
    from driftd.clients.registry import Registry

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not version or not uri:
        missing = "MLFLOW_TRACKING_URI" if version else "--version"
        raise MistakeError(f"--log-to {name}: {missing} must say where to; the file is written")
    Registry(uri).log_profile(name, version, data)


def _summary(found: "FileProfile", out: Path) -> dict[str, object]:
    profile, quality = found.profile, found.profile.quality
    return {
        "out": str(out),
        "n": profile.n,
        "since": profile.since,
        "until": profile.until,
        "streams": {
            name: {"kind": stream.layout.kind, "cells": stream.layout.size, "n": stream.n}
            for name, stream in profile.streams.items()
        },
        "skipped": dict(found.skipped),
        "brier": quality.brier if quality else None,
    }


def _told(found: "FileProfile", out: Path) -> str:
    profile = found.profile
    lines = [f"{out}: {profile.n} rows, {len(profile.streams)} streams"]
    for name, stream in profile.streams.items():
        if stream.n:
            missing = f", {stream.missing_share:.1%} missing" if stream.missing_share else ""
            lines.append(f"  {name}: {stream.layout.kind}, {stream.layout.size} cells{missing}")
    lines += [f"  {name}: left out, {why}" for name, why in found.skipped.items()]
    quality = profile.quality
    if quality is not None:
        lines.append(f"  quality: Brier {quality.brier:.4f}, AUC {quality.auc:.3f}")
    return "\n".join(lines)


def _exported(manifest: "Manifest", out: Path) -> str:
    lines = [f"{out}: {len(manifest.columns)} features of {manifest.model}"]
    lines += [
        f"  {name}: {rows} rows, {manifest.positives[name]} positive"
        for name, rows in manifest.rows.items()
    ]
    if manifest.straddling:
        lines.append(
            f"  {manifest.straddling} rows left out: their subject is in the withheld block"
        )
    return "\n".join(lines)
