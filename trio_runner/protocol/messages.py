"""Every message of the task-runner protocol as a frozen attrs class.

One class per message and sender. The wire names (``taskId``, ``broker:tasksettings``) live in
`trio_runner.protocol.codec` alone. A field of type `RawJson` holds one JSON value as the bytes that
came off the wire or that go onto it: payloads are never decoded in the process that supervises tasks.

Source of the message set: n8n's task broker, versions 2.1 to 2.41.
"""

from __future__ import annotations

from typing import Literal

import attrs

from .raw_json import RawJson

__all__ = [
    "BrokerRpcRequest",
    "BrokerToRequester",
    "BrokerToRunner",
    "Drain",
    "InfoRequest",
    "NodeTypes",
    "NodeTypesQuery",
    "NodeTypesRequest",
    "RequestExpiry",
    "RequesterNodeTypesResponse",
    "RequesterRpcResponse",
    "RequesterTaskCancel",
    "RequesterTaskDataResponse",
    "RequesterTaskSettings",
    "RequesterToBroker",
    "RpcRequest",
    "RpcResponse",
    "RunnerInfo",
    "RunnerRegistered",
    "RunnerToBroker",
    "TaskAccepted",
    "TaskCancel",
    "TaskDataQuery",
    "TaskDataRequest",
    "TaskDataResponse",
    "TaskDeferred",
    "TaskDone",
    "TaskErrorReport",
    "TaskFailure",
    "TaskOffer",
    "TaskOfferAccept",
    "TaskReady",
    "TaskRejected",
    "TaskRequest",
    "TaskResult",
    "TaskSettings",
]

RpcStatus = Literal["success", "error"]


# --- broker to runner -------------------------------------------------------------------------------


@attrs.frozen
class InfoRequest:
    """``broker:inforequest``: first message after connecting; asks who the runner is."""


@attrs.frozen
class RunnerRegistered:
    """``broker:runnerregistered``: offers may flow from now on."""


@attrs.frozen
class TaskOfferAccept:
    """``broker:taskofferaccept``: an offer was taken; answer within 2 s."""

    task_id: str
    offer_id: str


@attrs.frozen
class TaskSettings:
    """``broker:tasksettings``: start the task."""

    task_id: str
    settings: RawJson


@attrs.frozen
class TaskCancel:
    """``broker:taskcancel``: stop the task, in whatever state it is."""

    task_id: str
    reason: str = ""


@attrs.frozen
class RpcResponse:
    """``broker:rpcresponse``: the answer to a ``runner:rpc``."""

    call_id: str
    task_id: str
    status: RpcStatus
    data: RawJson = RawJson.NULL


@attrs.frozen
class TaskDataResponse:
    """``broker:taskdataresponse``: the answer to a data request (JavaScript runners today)."""

    task_id: str
    request_id: str
    data: RawJson = RawJson.NULL


@attrs.frozen
class NodeTypes:
    """``broker:nodetypes``: node type descriptions (JavaScript runners today)."""

    task_id: str
    request_id: str
    node_types: RawJson = RawJson.NULL


@attrs.frozen
class Drain:
    """``broker:drain``: stop offering, finish what runs."""


# --- runner to broker -------------------------------------------------------------------------------


@attrs.frozen
class RunnerInfo:
    """``runner:info``: the runner's name and the task types it serves."""

    name: str
    types: tuple[str, ...]


@attrs.frozen
class TaskOffer:
    """``runner:taskoffer``: one free slot. `valid_for` is in milliseconds; −1 never expires (launcher)."""

    offer_id: str
    task_type: str
    valid_for: int


@attrs.frozen
class TaskAccepted:
    """``runner:taskaccepted``: the slot is taken; settings please."""

    task_id: str


@attrs.frozen
class TaskRejected:
    """``runner:taskrejected``: the broker must offer the task elsewhere."""

    task_id: str
    reason: str


@attrs.frozen
class TaskDeferred:
    """``runner:taskdeferred``: keep the request until a real runner offers (launcher only)."""

    task_id: str


@attrs.frozen
class TaskDone:
    """``runner:taskdone``: success. `data` is the JSON object ``{"result": …}``."""

    task_id: str
    data: RawJson


@attrs.frozen
class TaskErrorReport:
    """``runner:taskerror``: failure. `error`: a JSON object with at least ``message``, ``description``."""

    task_id: str
    error: RawJson


@attrs.frozen
class RpcRequest:
    """``runner:rpc``: a call back into the requester; ``logNodeOutput`` carries one ``print()``."""

    call_id: str
    task_id: str
    name: str
    params: RawJson


@attrs.frozen
class TaskDataRequest:
    """``runner:taskdatarequest`` (JavaScript runners today)."""

    task_id: str
    request_id: str
    request_params: RawJson = RawJson.NULL


@attrs.frozen
class NodeTypesRequest:
    """``runner:nodetypesrequest`` (JavaScript runners today)."""

    task_id: str
    request_id: str
    request_params: RawJson = RawJson.NULL


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


BrokerToRunner = (
    InfoRequest
    | RunnerRegistered
    | TaskOfferAccept
    | TaskSettings
    | TaskCancel
    | RpcResponse
    | TaskDataResponse
    | NodeTypes
    | Drain
)
RunnerToBroker = (
    RunnerInfo
    | TaskOffer
    | TaskAccepted
    | TaskRejected
    | TaskDeferred
    | TaskDone
    | TaskErrorReport
    | RpcRequest
    | TaskDataRequest
    | NodeTypesRequest
)
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
