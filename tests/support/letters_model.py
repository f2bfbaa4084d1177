"""A registered model that encodes a text as how often it has each letter (models from code)."""

from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class Letters(PythonModel):  # type: ignore[misc]
    """26 shares a text."""

    def predict(self, context: Any, model_input: list[str], params: Any = None) -> Any:
        """One row a text; numbers instead of vectors for those who ask for a fault."""
        print("what a library prints is no answer")
        if "fault" in model_input:
            return [1.0] * len(model_input)
        rows = [
            [text.count(chr(97 + i)) / max(len(text), 1) for i in range(26)] for text in model_input
        ]
        return np.array(rows)


mlflow.models.set_model(Letters())
