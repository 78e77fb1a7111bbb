"""Message processing: jobs from a work queue, each handed to one worker until it is done.

Read in this order: `worker` (the loop), `attempt` (one try), `outcome` (what may become of
it), `finish` (carrying that out), `attempts` (who may have killed a worker).
"""

from shared.work_queue.attempt import Decoder, Handler, json_body
from shared.work_queue.backoff import Backoff
from shared.work_queue.delivery import Delivery
from shared.work_queue.outcome import Ack, DeadLetter, Outcome, Permanent, Reason, Retry
from shared.work_queue.policy import WorkerPolicy
from shared.work_queue.worker import Worker

__all__ = [
    "Ack",
    "Backoff",
    "DeadLetter",
    "Decoder",
    "Delivery",
    "Handler",
    "Outcome",
    "Permanent",
    "Reason",
    "Retry",
    "Worker",
    "WorkerPolicy",
    "json_body",
]
