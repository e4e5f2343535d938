"""Why we end attempts ourselves: the reasons, whom each is charged to, and the words for people."""

from __future__ import annotations

from fairlead.engine.model import FailureClass

__all__ = ["ENDINGS", "ENDING_MESSAGES", "LOST", "RUN_DEADLINE"]

#: The reason of an attempt whose end was not recorded, and that another one came after.
LOST = "Lost"

#: The reason of what is ended because the run as a whole has taken too long.
RUN_DEADLINE = "RunDeadlineExceeded"

#: The class that an end is charged to, by the reason for which we asked for it. None: it was cancelled, not failed.
ENDINGS: dict[str, FailureClass | None] = {
    "TimedOut": FailureClass.TIMEOUT,
    "StartTimeout": FailureClass.TIMEOUT,
    "DeadlineExceeded": FailureClass.TIMEOUT,
    "HeartbeatTimeout": FailureClass.TIMEOUT,
    "ApprovalTimeout": FailureClass.TIMEOUT,
    "ImagePull": FailureClass.CONFIGURATION,
    "ContainerConfig": FailureClass.CONFIGURATION,
    "NodeLost": FailureClass.INFRASTRUCTURE,
    "Cancelled": None,
    "FinallyDeadlineExceeded": None,
    RUN_DEADLINE: None,
    "Stopped": None,
    "Superseded": None,
    "Terminated": None,
}

ENDING_MESSAGES = {
    "TimedOut": "the attempt ran longer than timeoutSeconds",
    "StartTimeout": "the attempt did not begin to run within startTimeoutSeconds",
    "DeadlineExceeded": "all attempts together took longer than deadlineSeconds",
    "HeartbeatTimeout": "nothing was heard for longer than heartbeatSeconds",
    "ApprovalTimeout": "nobody has answered within timeoutSeconds",
    "ImagePull": "the image could not be pulled",
    "ContainerConfig": "the container could not be created",
    "NodeLost": "its node did not answer for longer than onNodeLost.replaceAfterSeconds",
    "FinallyDeadlineExceeded": "`finally` took longer than finallyDeadlineSeconds",
    RUN_DEADLINE: "the run took longer than its deadlineSeconds",
}
