"""In the place of Triton's ONNX Runtime back end: requests come in, a batch of them runs, answers go out."""

from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, arguments):
        file = Path(arguments["model_repository"]) / arguments["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def execute(self, requests):
        # By DLPack: Triton's own arrays are those of numpy 1.
        images = [np.from_dlpack(triton.get_input_tensor_by_name(request, "images")) for request in requests]
        (found,) = self._session.run(["probabilities"], {"images": np.concatenate(images)})
        ends = np.cumsum([len(each) for each in images])[:-1]
        answers = (np.ascontiguousarray(each) for each in np.split(found, ends))
        return [triton.InferenceResponse([triton.Tensor.from_dlpack("probabilities", each)]) for each in answers]
