"""Every message of the task-runner protocol as a frozen attrs class.

One class per message and sender. The wire names (``taskId``, ``broker:tasksettings``) live in
`trio_runner.protocol.codec` alone. A field of type `RawJson` holds one JSON value as the bytes that
came off the wire or that go onto it: payloads are never decoded in the process that supervises tasks.

Source of the message set: n8n's task broker, versions 2.1 to 2.41.
"""

from __future__ import annotations

from .requester_messages import (
    BrokerRpcRequest,
    BrokerToRequester,
    NodeTypesQuery,
    RequesterNodeTypesResponse,
    RequesterRpcResponse,
    RequesterTaskCancel,
    RequesterTaskDataResponse,
    RequesterTaskSettings,
    RequesterToBroker,
    RequestExpiry,
    TaskDataQuery,
    TaskFailure,
    TaskReady,
    TaskRequest,
    TaskResult,
)
from .runner_messages import (
    BrokerToRunner,
    Drain,
    InfoRequest,
    NodeTypes,
    NodeTypesRequest,
    RpcRequest,
    RpcResponse,
    RpcStatus,
    RunnerInfo,
    RunnerRegistered,
    RunnerToBroker,
    TaskAccepted,
    TaskCancel,
    TaskDataRequest,
    TaskDataResponse,
    TaskDeferred,
    TaskDone,
    TaskErrorReport,
    TaskOffer,
    TaskOfferAccept,
    TaskRejected,
    TaskSettings,
)

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
    "RpcStatus",
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
