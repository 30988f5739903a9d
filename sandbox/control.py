"""The sandbox's own endpoints: its health, the faults and what was sent. No fault ever applies to them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.bodies import RefusedError, read_json, read_object
from sandbox.faults import Fault, FaultError, Faults
from sandbox.inngest_deliveries import Deliveries
from sandbox.kept import Kept
from sandbox.waha import ApiKey, Sent


def control_routes(
    faults: Faults, sent: Sent, api_key: ApiKey, kept: Mapping[str, Kept], deliveries: Deliveries
) -> list[Route]:
    """`/healthz`, `/faults[/{service}]`, `/waha/sent`, `/waha/key`, and at each path of *kept* what came."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def list_faults(request: Request) -> Response:
        return JSONResponse(faults.to_json())

    async def set_fault(request: Request) -> Response:
        fault = Fault.parse(await read_json(request))
        faults.set(request.path_params["service"], fault)
        return JSONResponse(fault.to_json())

    async def end_fault(request: Request) -> Response:
        faults.end(request.path_params["service"])
        return Response(status_code=204)

    async def list_sent(request: Request) -> Response:
        return JSONResponse(sent.listed(request.query_params.get("chatId")))

    async def empty_sent(request: Request) -> Response:
        sent.clear()
        return Response(status_code=204)

    async def set_key(request: Request) -> Response:
        api_key.value = _key_in(await read_object(request))
        return Response(status_code=204)

    async def end_key(request: Request) -> Response:
        api_key.value = None
        return Response(status_code=204)

    async def list_runs(request: Request) -> Response:
        return JSONResponse(deliveries.listed())

    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/faults", list_faults, methods=["GET"]),
        Route("/faults/{service}", set_fault, methods=["PUT"]),
        Route("/faults/{service}", end_fault, methods=["DELETE"]),
        Route("/waha/sent", list_sent, methods=["GET"]),
        Route("/waha/sent", empty_sent, methods=["DELETE"]),
        Route("/waha/key", set_key, methods=["PUT"]),
        Route("/waha/key", end_key, methods=["DELETE"]),
        Route("/inngest/runs", list_runs, methods=["GET"]),
        *[route for path, things in kept.items() for route in _kept_routes(path, things)],
    ]


def _key_in(body: dict[str, object]) -> str:
    key = body.get("key")
    if not isinstance(key, str) or not key or body.keys() != {"key"}:
        raise RefusedError(400, 'send {"key": "…"}: the key that WAHA wants, a text that is not empty')
    return key


def _kept_routes(path: str, kept: Kept) -> list[Route]:
    async def listed(request: Request) -> Response:
        return JSONResponse(kept.listed())

    async def empty(request: Request) -> Response:
        kept.clear()
        return Response(status_code=204)

    return [Route(path, listed, methods=["GET"]), Route(path, empty, methods=["DELETE"])]


def control_error(status: int, message: str) -> dict[str, object]:
    """The shape of the sandbox's own errors."""
    return {"error": {"code": status, "message": message}}


async def refuse_fault(request: Request, error: Exception) -> Response:
    """400, with what is wrong about the fault."""
    assert isinstance(error, FaultError)
    return JSONResponse(control_error(400, str(error)), status_code=400)
