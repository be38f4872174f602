"""nnU-Net v2's own predictor on a list of jobs, in the environment of `make bench-nnunet`, which knows nothing of us.

Called as `nnunet_reference.py JOBS.json`. A job: model (folder), folds, mirror, files (one, or the list of a case's
images), outputs (without ending), wide.
`wide` weights and sums the tiles' logits in 32 bits instead of nnU-Net's 16, to tell what rounding alone changes.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

for _variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(_variable, "unused")
os.environ.setdefault("nnUNet_def_n_proc", "1")


@contextmanager
def wide_sums(enabled: bool) -> Iterator[None]:
    """Within, nnU-Net's buffers and weights are of 32 bits."""
    import torch
    from nnunetv2.inference import predict_from_raw_data as predictor

    half, gaussian = torch.half, predictor.compute_gaussian
    if enabled:
        torch.half = torch.float32
        predictor.compute_gaussian = cache(partial(gaussian, dtype=torch.float32))  # nnU-Net clears it
    try:
        yield
    finally:
        torch.half, predictor.compute_gaussian = half, gaussian


def run(job: dict) -> dict[str, float]:
    """Predict one job's files; seconds of all and of the network, peak memory in MB."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=job["mirror"], perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    network = 0.0
    predict = predictor.predict_logits_from_preprocessed_data

    def timed(data: torch.Tensor) -> torch.Tensor:
        nonlocal network
        start = time.perf_counter()
        logits = predict(data)
        network += time.perf_counter() - start
        return logits

    predictor.predict_logits_from_preprocessed_data = timed
    start = time.perf_counter()
    with wide_sums(job["wide"]):
        predictor.initialize_from_trained_model_folder(job["model"], job["folds"], "checkpoint_final.pth")
        files = [file if isinstance(file, list) else [file] for file in job["files"]]
        if job["wide"]:
            predictor.predict_from_files_sequential(files, job["outputs"], save_probabilities=False, overwrite=True)
        else:
            predictor.predict_from_files(
                files, job["outputs"], save_probabilities=False, overwrite=True,
                num_processes_preprocessing=1, num_processes_segmentation_export=1,
            )  # fmt: skip
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"seconds": time.perf_counter() - start, "network": network, "peak_mb": peak / 1024}


if __name__ == "__main__":
    jobs = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps([run(job) for job in jobs]))
