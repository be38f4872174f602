"""What the tests of the module share: volumes in a scene, and a worker that answers at once."""

import numpy as np

from helpers.volumes import make_volume
from LiverMRISegLib.errors import LiverMRISegError
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.inference.worker.client import WorkerClient
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.volumes import add_volume


def add_random(scene, name, direction=None, size=(40, 36, 24)):
    return add_volume(scene, make_volume(direction, size=size), name)


def add_flat(scene, name):
    made = make_volume(size=(40, 36, 24))
    return add_volume(scene, Volume(np.full_like(made.array, 7), made.geometry), name)


class WaitingWorker:
    """A `jobs.Worker` on the real worker process that waits for every reply."""

    def __init__(self):
        self.client = None
        self.requests = []
        self.token = CancelToken()
        self.cancel_at_progress = None

    def ask(self, request, on_reply):
        self.requests.append(request)
        self.token = CancelToken()
        if self.client is None or self.client.model != request["model"]:
            self.close()
            self.client = WorkerClient(request["model"], request["device"])

        def progress(text, fraction):
            on_reply({"event": "progress", "text": text, "fraction": fraction})
            if self.cancel_at_progress is not None and fraction >= self.cancel_at_progress:
                self.token.cancel()

        try:
            reply = self.client.segment(
                request["input"], request["output"], organs=request["organs"], progress=progress, cancel=self.token
            )
        except LiverMRISegError as error:
            reply = {"event": "error", "kind": type(error).__name__, "message": str(error)}
        on_reply(reply)

    def cancel(self):
        self.token.cancel()

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None
