"""What a broker and a runner say to each other.

A field of type `RawJson` holds one JSON value as the bytes that came off the wire or that go onto it.
"""

from __future__ import annotations

from typing import Literal

import attrs

from .raw_json import RawJson

__all__ = [
    "BrokerToRunner",
    "Drain",
    "InfoRequest",
    "NodeTypes",
    "NodeTypesRequest",
    "RpcRequest",
    "RpcResponse",
    "RpcStatus",
    "RunnerInfo",
    "RunnerRegistered",
    "RunnerToBroker",
    "TaskAccepted",
    "TaskCancel",
    "TaskDataRequest",
    "TaskDataResponse",
    "TaskDeferred",
    "TaskDone",
    "TaskErrorReport",
    "TaskOffer",
    "TaskOfferAccept",
    "TaskRejected",
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
