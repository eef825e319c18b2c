"""What LiteRT and TensorFlow Lite Micro have in common once a file is open: a fixed batch. Imports neither runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol

from int8bench import units
from int8bench.documents import Json
from int8bench.engines.base import Images, Logits
from int8bench.engines.fixed_batch import check_logits, in_parts
from int8bench.engines.tflite.files import channels_last
from int8bench.errors import EngineError


class TfliteSession(Protocol):
    """A file that a runtime has opened, for one batch size."""

    def bound(self, pictures: Images) -> Callable[[], Logits]:
        """Return a call over channels-last pictures of exactly the batch size; the session is theirs from now on."""


class FixedBatchPredictor:
    """Answers any number of pictures with a session that takes a fixed number of them."""

    def __init__(
        self,
        *,
        name: str,
        batch: int,
        content: bytes,
        open_session: Callable[[], TfliteSession],
        weigh: Callable[[], int],
        describe: Callable[[], Mapping[str, Json]],
    ) -> None:
        """Open the session, in the process that builds it.

        Args:
            name: how errors call it.
            batch: pictures that a session takes.
            content: the file.
            open_session: opens the file anew.
            weigh: bytes of the weights; asked once at most, and never while something is timed.
            describe: the evidence; the same.
        """
        self.serialized_bytes = len(content)
        self._name, self._batch = name, batch
        self._open, self._weigh, self._describe = open_session, weigh, describe
        self._spare: TfliteSession | None = open_session()

    @cached_property
    def weights_bytes(self) -> int:
        """Bytes of the weights and biases, with their scales and zero points."""
        return self._weigh()

    @cached_property
    def evidence(self) -> Mapping[str, Json]:
        """What the runtime tells of its graph."""
        return self._describe()

    def __call__(self, batch: Images) -> Logits:
        """Return the logits of a batch, (image, class).

        Raises:
            EngineError: the runtime failed, or its answer is no (image, class) array.
        """
        session = self._session()
        answers = in_parts(batch, self._batch, lambda pictures: self._answered(session, pictures))
        self._spare = session
        return answers

    def bind(self, batch: Images) -> Callable[[], object]:
        """Return the timed body: one call over an own channels-last copy of `batch`.

        Takes the session with it, since a float32 one keeps the pictures in its own input, without a copy in a call;
        who asks this predictor again gets another session.
        """
        session, self._spare = self._session(), None
        return session.bound(channels_last(batch))

    def _session(self) -> TfliteSession:
        return self._spare or self._open()

    def _answered(self, session: TfliteSession, pictures: Images) -> Logits:
        try:
            answers = session.bound(channels_last(pictures))()
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"{self._name}: cannot answer pictures of shape {pictures.shape}: {units.reason(error)}"
            ) from error
        check_logits(self._name, answers.shape, self._batch)
        return answers
