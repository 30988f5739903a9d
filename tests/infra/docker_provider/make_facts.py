"""Make `infra/docker_provider/facts.json` from the official provider's schema and recordings.

Run it after changing a table below or the recordings:

    python tests/infra/docker_provider/make_facts.py > infra/docker_provider/facts.json

What `schema.json` says is taken from it: types, required properties, what replaces. What it does not say
stands in the tables here: `DEFAULTS`, `UNORDERED` and `AUTONAMED` are from the documentation of the Terraform
provider inside (zero values are never recorded as defaults). What an output is that nobody gave is from the
recorded creates.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).with_name("recordings")

AUTONAMED = {"container:Container", "network:Network", "volume:Volume"}

DEFAULTS: dict[str, Any] = {
    "container:Container/containerReadRefreshTimeoutMilliseconds": 15000,
    "container:Container/mustRun": True,
    "container:Container/networkMode": "bridge",
    "container:Container/removeVolumes": True,
    "container:Container/restart": "no",
    "container:Container/start": True,
    "container:Container/waitTimeout": 60,
    "container:Container/healthcheck/interval": "0s",
    "container:Container/healthcheck/startInterval": "0s",
    "container:Container/healthcheck/startPeriod": "0s",
    "container:Container/healthcheck/timeout": "0s",
    "container:Container/ports/ip": "0.0.0.0",
    "container:Container/ports/protocol": "tcp",
    "container:Container/devices/permissions": "rwm",
    "container:Container/deviceRequests/driver": "cdi",
    "network:Network/ipamDriver": "default",
    "remoteImage:RemoteImage/build/dockerfile": "Dockerfile",
    "remoteImage:RemoteImage/build/remove": True,
}

UNORDERED = {
    "container:Container/capabilities/adds",
    "container:Container/capabilities/drops",
    "container:Container/deviceReadBps",
    "container:Container/deviceReadIops",
    "container:Container/deviceRequests",
    "container:Container/deviceRequests/capabilities",
    "container:Container/deviceRequests/deviceIds",
    "container:Container/deviceWriteBps",
    "container:Container/deviceWriteIops",
    "container:Container/devices",
    "container:Container/dns",
    "container:Container/dnsOpts",
    "container:Container/dnsSearches",
    "container:Container/envs",
    "container:Container/groupAdds",
    "container:Container/hosts",
    "container:Container/labels",
    "container:Container/mounts",
    "container:Container/mounts/volumeOptions/labels",
    "container:Container/networksAdvanced",
    "container:Container/networksAdvanced/aliases",
    "container:Container/networksAdvanced/driverOpts",
    "container:Container/networksAdvanced/linkLocalIps",
    "container:Container/securityOpts",
    "container:Container/ulimits",
    "container:Container/uploads",
    "container:Container/volumes",
    "network:Network/ipamConfigs",
    "network:Network/labels",
    "volume:Volume/labels",
    "remoteImage:RemoteImage/pullTriggers",
    "remoteImage:RemoteImage/build/authConfigs",
}

UNSET_FALSE = {"container:Container/uploads/executable", "remoteImage:RemoteImage/build/useLegacyBuilder"}
"""Nested booleans that come out as false when not given; the others come out as null."""

OF_THIS_RESOURCE = {
    "id", "exitCode", "hostname", "networkDatas", "name", "imageId", "ipamConfigs", "mountpoint", "scope",
    "options", "__pulumi_raw_state_delta",
}  # fmt: skip
"""Outputs whose recorded value says something about one resource, not about a property left unset."""


def _spec(schema: dict[str, Any], declared: dict[str, Any], path: str) -> dict[str, Any]:
    """The compact form of one property: its type, what it contains, and the facts of the tables above."""
    spec: dict[str, Any] = {}
    if "$ref" in declared:
        spec |= _object(schema, schema["types"][declared["$ref"].removeprefix("#/types/")], path)
    elif declared["type"] == "array":
        spec |= {"type": "array", "items": _spec(schema, declared["items"], path)}
    else:
        spec["type"] = "map" if declared["type"] == "object" else declared["type"]
    if declared.get("willReplaceOnChanges"):
        spec["replaces"] = True
    if path in DEFAULTS and spec["type"] not in ("array", "object"):
        spec["default"] = DEFAULTS[path]
    if path in UNORDERED and spec["type"] == "array":
        spec["unordered"] = True
    if path in UNSET_FALSE:
        spec["unset"] = False
    return spec


def _object(schema: dict[str, Any], declared: dict[str, Any], path: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: _spec(schema, inner, f"{path}/{name}")
            for name, inner in declared.get("inputProperties", declared.get("properties", {})).items()
        },
        "required": declared.get("requiredInputs" if "inputProperties" in declared else "required") or [],
    }


def _recorded_unset(token: str) -> dict[str, Any]:
    """The outputs of a recorded create that nobody gave, over all creates of the type."""
    unset: dict[str, Any] = {}
    for given, outputs in _recorded("Create", token, "properties"):
        found = {name: outputs[name] for name in outputs if name not in given}
        unset = {name: value for name, value in found.items() if name not in OF_THIS_RESOURCE} | unset
    return unset


def _recorded_refreshed(token: str) -> dict[str, Any]:
    """What was null after the create and is an empty list or map after a refresh."""
    return {
        name: value
        for before, after in _recorded("Read", token, "properties")
        for name, value in after.items()
        if value in ([], {}) and before.get(name, value) is None
    }


def _recorded(method: str, token: str, part: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The request's and the answer's *part* of every recorded call that was answered with one."""
    for call in map(json.loads, (RECORDINGS / "calls.jsonl").read_text().splitlines()):
        is_asked_for = call["method"].endswith(f"/{method}") and f"::{token}::" in call["request"]["urn"]
        if is_asked_for and (answered := call.get("response", {}).get(part)):
            yield call["request"][part], answered


def make() -> dict[str, Any]:
    """The whole content of `facts.json`."""
    schema = json.loads((RECORDINGS / "schema.json").read_text())
    resources = {}
    for token, declared in schema["resources"].items():
        short = token.removeprefix("docker:index/")
        resources[token] = _object(schema, declared, short) | {
            "autonamed": short in AUTONAMED,
            "outputs": sorted(declared["properties"]),
            "unset": _recorded_unset(token),
            "refreshed": _recorded_refreshed(token),
        }
    about = (
        "Made by tests/infra/docker_provider/make_facts.py from the official provider's schema: do not edit."
    )
    return {"about": about, "resources": resources}


if __name__ == "__main__":
    print(json.dumps(make(), indent=1, sort_keys=True))
