"""The classifier: readings in, predictions out, on ONNX Runtime."""

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from model.artifact import Artifact, ArtifactError
from model.ngrams import NgramVotes
from model.prediction import Decision, Prediction, Scored
from model.tokens import Encoded, Reader, pad
from model.urgency import UrgencyHead

BATCH_TOKENS = 4096  # of one run of the graph, padding included: bounds memory
OUT_OF_SCOPE = "other"  # the category of what is no resident matter
Floats = NDArray[np.float32]
_UNREADABLE_GRAPH = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities over the last axis, same shape."""
    scaled = logits / temperature
    shifted = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


def _open_session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    available = ort.get_available_providers()
    wanted = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in available]
    session = ort.InferenceSession(path, options, providers=wanted)
    _release_freed_memory()
    return session


def _release_freed_memory() -> None:
    """Return to the system what unpacking the weights took: glibc would keep it, some 200 MB."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


class Classifier:
    """A verified artifact ready to read. Threads may share it.

    Args:
        artifact: what `load_artifact` returned.
        threads: cores for one run of the graph; 0 for all.

    Raises:
        ArtifactError: graph, labels and tokenizer do not belong together.
    """

    def __init__(self, artifact: Artifact, threads: int = 0) -> None:
        self.artifact = artifact
        self.reader = Reader.load(artifact.directory / "tokenizer.json", artifact.max_tokens)
        try:
            self._session = _open_session(artifact.directory / "model.onnx", threads)
        except _UNREADABLE_GRAPH as error:
            raise ArtifactError(f"{artifact.directory}/model.onnx: {error}; export again") from None
        self._check()
        try:
            self.votes = NgramVotes.load(artifact.directory / "ngrams.npz", len(artifact.codes))
            self.urgency = UrgencyHead.load(artifact.directory / "urgency.npz")
        except ValueError as error:
            raise ArtifactError(str(error)) from None

    def _check(self) -> None:
        directory = self.artifact.directory
        size = self.reader.tokenizer.get_vocab_size()
        if size != self.artifact.vocab_size:
            raise ArtifactError(
                f"{directory}/tokenizer.json: has {size} tokens, the graph was exported for "
                f"{self.artifact.vocab_size}; export the artifact again"
            )
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        if set(outputs) != {"logits", "embedding"}:
            raise ArtifactError(
                f"{directory}/model.onnx: outputs {sorted(outputs)}, expected logits, embedding"
            )
        if outputs["logits"][-1] != len(self.artifact.codes):
            raise ArtifactError(
                f"{directory}: the graph scores {outputs['logits'][-1]} categories, labels.json "
                f"names {len(self.artifact.codes)}; export the artifact again"
            )

    def run(self, encoded: Sequence[Encoded]) -> tuple[Floats, Floats]:
        """The encoder's logits (N, K) and embeddings (N, H), in order.

        Batches hold texts of similar length and at most BATCH_TOKENS tokens.
        """
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
        logits: list[Floats] = []
        embeddings: list[Floats] = []
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * len(encoded[order[end]].ids) <= (
                BATCH_TOKENS
            ):
                end += 1
            ids, mask = pad([encoded[i].ids for i in order[start:end]])
            some_logits, some_embeddings = self.run_masked(ids, mask)
            logits.append(some_logits)
            embeddings.append(some_embeddings)
            start = end
        back = np.argsort(order)
        return np.concatenate(logits)[back], np.concatenate(embeddings)[back]

    def run_masked(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """One run of the graph.

        Args:
            ids: token ids, (N, T).
            mask: 1 for tokens that are read, 0 for padding or hidden ones, (N, T).

        Returns:
            Logits (N, K) and embeddings (N, H).
        """
        logits, embeddings = self._session.run(
            ["logits", "embedding"], {"input_ids": ids, "attention_mask": mask}
        )
        return logits, embeddings

    def probs(self, logits: Floats) -> Floats:
        """Calibrated probabilities of being the primary category, (N, K) like `logits`."""
        return softmax(logits, self.artifact.calibration.temperature)

    def score(self, readings: Sequence[str], encoded: Sequence[Encoded]) -> Floats:
        """Probabilities (N, K) of `readings`, which `encoded` holds as token ids."""
        return self.probs(self.run(encoded)[0] + self.votes(readings))

    def predict(self, readings: Sequence[str], top_k: int = 5) -> list[Prediction]:
        """Predictions for any number of readings of any length, in order."""
        return self.predict_embed(readings, top_k)[0] if readings else []

    def predict_embed(
        self, readings: Sequence[str], top_k: int = 5
    ) -> tuple[list[Prediction], Floats]:
        """Predictions and pooled embeddings (N, H), not normalised, of at least one reading."""
        encoded = self.reader.encode(readings)
        logits, embeddings = self.run(encoded)
        probs = self.probs(logits + self.votes(readings))
        predictions = [
            self._decide(row, item.truncated, top_k)
            for row, item in zip(probs, encoded, strict=True)
        ]
        return predictions, embeddings

    def _decide(self, probs: Floats, truncated: bool, top_k: int) -> Prediction:
        calibration = self.artifact.calibration
        ranked = [
            Scored(self.artifact.codes[i], float(probs[i]))
            for i in np.argsort(-probs, kind="stable")
        ]
        first = ranked[0]
        further = [s for s in ranked[1:3] if s.score >= calibration.label_threshold]
        decision: Decision = "review"
        if first.code == OUT_OF_SCOPE:
            if first.score >= calibration.out_of_scope_threshold:
                decision = "out_of_scope"
        elif first.score >= calibration.auto_threshold:
            decision = "auto"
        return Prediction((first, *further), tuple(ranked[:top_k]), decision, truncated)
