"""All messages of the screen. Those from the feed are posted from its thread, and carry frozen values."""

from __future__ import annotations

from textual.message import Message

from straced.model.frame import Frame, ProcessDetail


class FrameReady(Message):
    """A refresh has come."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        super().__init__()


class DetailReady(Message):
    """The chosen process has been looked at."""

    def __init__(self, detail: ProcessDetail) -> None:
        self.detail = detail
        super().__init__()


class FeedFailed(Message):
    """No more frames will come."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__()
