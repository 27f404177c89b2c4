"""Calls between a running task and its requester: the same payload under the other side's message type."""

from __future__ import annotations

from ...protocol import messages as m

__all__ = ["TaskAnswer", "TaskCall", "to_requester", "to_runner"]

TaskCall = m.RpcRequest | m.TaskDataRequest | m.NodeTypesRequest
"""What a runner may ask a task's requester."""

TaskAnswer = m.RequesterRpcResponse | m.RequesterTaskDataResponse | m.RequesterNodeTypesResponse
"""What a requester may answer."""


def to_requester(call: TaskCall) -> m.BrokerRpcRequest | m.TaskDataQuery | m.NodeTypesQuery:
    """Return the message that passes a runner's call on."""
    match call:
        case m.RpcRequest():
            return m.BrokerRpcRequest(call.call_id, call.task_id, call.name, call.params)
        case m.TaskDataRequest():
            return m.TaskDataQuery(call.task_id, call.request_id, call.request_params)
        case m.NodeTypesRequest():
            return m.NodeTypesQuery(call.task_id, call.request_id, call.request_params)


def to_runner(answer: TaskAnswer) -> m.RpcResponse | m.TaskDataResponse | m.NodeTypes:
    """Return the message that passes a requester's answer on."""
    match answer:
        case m.RequesterRpcResponse():
            return m.RpcResponse(answer.call_id, answer.task_id, answer.status, answer.data)
        case m.RequesterTaskDataResponse():
            return m.TaskDataResponse(answer.task_id, answer.request_id, answer.data)
        case m.RequesterNodeTypesResponse():
            return m.NodeTypes(answer.task_id, answer.request_id, answer.node_types)
