"""Turns texts into vectors with one encoder (standalone: run with ``python -I``, imports none of ours).

Reads a JSON list of texts a line from stdin; answers on stdout with a line of JSON, ``{"rows": n,
"dimension": d}`` and then n x d float32 (little endian), or ``{"error": why}``. The first line, before
any text, is ``{"ready": true}`` or an error. Nothing is ever downloaded: the encoder is a folder, or a
version in the MLflow registry that the environment names.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")


def main() -> int:
    """Load, then answer until stdin ends."""
    asked = arguments()
    limit(asked.memory)
    threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
    # Libraries print what they like; none of it may stand among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        encode = load(asked.encoder, asked.tokens)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        say(answers, {"error": told(error)})
        return 1
    if asked.quiet:
        # Warnings of libraries quote what they were given.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    say(answers, {"ready": True})
    for line in sys.stdin.buffer:
        try:
            vectors = encode(json.loads(line))
        except Exception as error:  # noqa: BLE001
            say(answers, {"error": told(error)})
            continue
        say(answers, {"rows": vectors.shape[0], "dimension": vectors.shape[1]}, vectors.tobytes())
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", required=True, help="a folder, or models:/NAME/VERSION")
    parser.add_argument("--tokens", type=int, default=256, help="longer texts are cut here")
    parser.add_argument("--memory", type=int, default=0, help="bytes; 0: no limit")
    parser.add_argument("--quiet", action="store_true", help="say nothing once it is loaded")
    return parser.parse_args()


def follow(parent: int) -> None:
    """End with the process that started this one, even in the midst of a text."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def limit(memory: int) -> None:
    """Bound the memory of this process."""
    if memory:
        import resource  # noqa: PLC0415 - not everywhere

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def load(encoder: str, tokens: int) -> Callable[[list[str]], Any]:
    """A function from texts to float32 vectors, shape (texts, dimension)."""
    if encoder.startswith("models:/"):
        return registered(encoder)
    return transformer(encoder, tokens)


def transformer(folder: str, tokens: int) -> Callable[[list[str]], Any]:
    """Mean of the last layer over a text's tokens, scaled to length 1, as sentence encoders do it."""
    import numpy as np  # noqa: PLC0415 - an import error is an answer
    import torch  # noqa: PLC0415
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415

    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(folder, **where)
    model = AutoModel.from_pretrained(folder, **where).eval()
    longest = min(tokens, getattr(model.config, "max_position_embeddings", tokens) or tokens)

    def encode(texts: list[str]) -> Any:
        words = tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        with torch.inference_mode():
            states = model(**words).last_hidden_state
        mask = words["attention_mask"].unsqueeze(-1).to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        mean = torch.nn.functional.normalize(mean, dim=1)
        return np.ascontiguousarray(mean.float().numpy(), "<f4")

    return encode


def registered(uri: str) -> Callable[[list[str]], Any]:
    """A version of a registered model that answers a list of texts with a vector each."""
    import mlflow.pyfunc  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    model = mlflow.pyfunc.load_model(uri)

    def encode(texts: list[str]) -> Any:
        answer = model.predict(texts)
        answer = getattr(answer, "to_numpy", lambda: answer)()
        vectors = np.ascontiguousarray(np.asarray(answer, "<f4"))
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ValueError(
                f"{uri} answered {len(texts)} texts in the shape {vectors.shape}; an encoder "
                "answers with a vector a text, (texts, dimension)"
            )
        return vectors

    return encode


def told(error: Exception) -> str:
    """An error in one line, not of any length."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:2_000]


def say(answers: Any, head: dict[str, Any], body: bytes = b"") -> None:
    """One answer."""
    answers.write(json.dumps(head).encode() + b"\n" + body)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
