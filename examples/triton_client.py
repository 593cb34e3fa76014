"""Asks a model server what faces show: python examples/triton_client.py 127.0.0.1:8001 fast_encoded face.jpg ..."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tritonclient.grpc import (  # pip install 'tritonclient[grpc]'
    InferenceServerClient,
    InferInput,
    InferRequestedOutput,
)
from tritonclient.utils import InferenceServerException

address, model, *paths = sys.argv[1:]
client = InferenceServerClient(address)


def best(path: str) -> str:
    """Probability, number and name of the likeliest class, or why there is none."""
    encoded = np.frombuffer(Path(path).read_bytes(), np.uint8)[None]
    image = InferInput("encoded", encoded.shape, "UINT8")
    image.set_data_from_numpy(encoded)
    try:
        answer = client.infer(model, [image], outputs=[InferRequestedOutput("probabilities", class_count=1)])
    except InferenceServerException as error:
        return f"failed: {error.message()}"
    return answer.as_numpy("probabilities")[0, 0].decode()


with ThreadPoolExecutor(32) as pool:  # the server makes batches of what it is asked meanwhile
    for path, said in zip(paths, pool.map(best, paths), strict=True):
        print(path, said)
