"""What a requester and a broker say to each other.

Inside n8n these messages are passed in the process; the broker of this package serves them over a socket.
"""

from __future__ import annotations

import attrs

from .raw_json import RawJson
from .runner_messages import RpcStatus

__all__ = [
    "BrokerRpcRequest",
    "BrokerToRequester",
    "NodeTypesQuery",
    "RequestExpiry",
    "RequesterNodeTypesResponse",
    "RequesterRpcResponse",
    "RequesterTaskCancel",
    "RequesterTaskDataResponse",
    "RequesterTaskSettings",
    "RequesterToBroker",
    "TaskDataQuery",
    "TaskFailure",
    "TaskReady",
    "TaskRequest",
    "TaskResult",
]


# --- requester to broker ----------------------------------------------------------------------------


@attrs.frozen
class TaskRequest:
    """``requester:taskrequest``: wants one task of a type done."""

    request_id: str
    task_type: str


@attrs.frozen
class RequesterTaskSettings:
    """``requester:tasksettings``: what the task is to do."""

    task_id: str
    settings: RawJson


@attrs.frozen
class RequesterTaskCancel:
    """``requester:taskcancel``: the task is no longer wanted."""

    task_id: str
    reason: str = ""


@attrs.frozen
class RequesterRpcResponse:
    """``requester:rpcresponse``: the answer to a ``broker:rpc``."""

    task_id: str
    call_id: str
    status: RpcStatus
    data: RawJson = RawJson.NULL


@attrs.frozen
class RequesterTaskDataResponse:
    """``requester:taskdataresponse``: the answer to a data request."""

    task_id: str
    request_id: str
    data: RawJson = RawJson.NULL


@attrs.frozen
class RequesterNodeTypesResponse:
    """``requester:nodetypesresponse``: the answer to a node-types request."""

    task_id: str
    request_id: str
    node_types: RawJson = RawJson.NULL


# --- broker to requester ----------------------------------------------------------------------------


@attrs.frozen
class TaskReady:
    """``broker:taskready``: a runner took the request; send the settings within 2 s."""

    request_id: str
    task_id: str


@attrs.frozen
class TaskResult:
    """``broker:taskdone``: the task completed. `data` is ``{"result": …}`` as the runner sent it."""

    task_id: str
    data: RawJson


@attrs.frozen
class TaskFailure:
    """``broker:taskerror``: the task failed. `error`: a JSON object with ``message``, ``description``."""

    task_id: str
    error: RawJson


@attrs.frozen
class BrokerRpcRequest:
    """``broker:rpc``: a runner's call, passed on to the requester of the task."""

    call_id: str
    task_id: str
    name: str
    params: RawJson


@attrs.frozen
class TaskDataQuery:
    """``broker:taskdatarequest``: a runner's data request, passed on."""

    task_id: str
    request_id: str
    request_params: RawJson = RawJson.NULL


@attrs.frozen
class NodeTypesQuery:
    """``broker:nodetypesrequest``: a runner's node-types request, passed on."""

    task_id: str
    request_id: str
    request_params: RawJson = RawJson.NULL


@attrs.frozen
class RequestExpiry:
    """``broker:requestexpired``: given up. `reason`: timeout, draining, no-runner, queue-full."""

    request_id: str
    reason: str = "timeout"


RequesterToBroker = (
    TaskRequest
    | RequesterTaskSettings
    | RequesterTaskCancel
    | RequesterRpcResponse
    | RequesterTaskDataResponse
    | RequesterNodeTypesResponse
)
BrokerToRequester = (
    TaskReady | TaskResult | TaskFailure | BrokerRpcRequest | TaskDataQuery | NodeTypesQuery | RequestExpiry
)
