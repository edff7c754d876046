"""values.schema.json of the chart: what may be in `settings` and `peers` is taken from the archive's own models.

python deploy/helm/schema.py          writes it; a test fails while the committed one is not current
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gantry.common.config.door_sections import PartitionSettings
from gantry.common.config.policy import KnownPeer
from gantry.common.config.settings import Settings

FILE = Path(__file__).parent / "gantry" / "values.schema.json"
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
FREE: Schema = {"type": "object"}
LIST: Schema = {"type": "array", "items": {"type": "object"}}
TEXTS: Schema = {"type": "array", "items": TEXT}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
NODE_PORT: Schema = {"type": ["integer", "null"], "minimum": 1, "maximum": 65535}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "integer", "minimum": 1}
AE_TITLE: Schema = {"type": "string", "pattern": "^[^\\\\]{1,16}$"}
FILE_NAME = "^[a-z0-9][a-z0-9._-]*$"
OTHER_FILES: Schema = {
    "type": "object",
    "propertyNames": {"pattern": FILE_NAME},
    "additionalProperties": {"$ref": "#/$defs/otherFile"},
}
ROLES = ("door", "ingest", "indexer", "query", "retrieve", "commitment", "orders", "mixed")
OWN_SECRETS = ("s3", "kafka", "opensearch", "tls", "http.tokens_file", "door.key_file", "encryption.key_file")
"""Sections and settings whose files `secrets` and `authorities` bring."""
AT_THE_DOOR = (
    "login.session_key_file",
    "sharing.key_file",
    "access.override_key_file",
    "access.users_file",
    "subscriptions.key_file",
)
"""Files of a partition that its door reads, beside those that have a place in `secrets`."""
QUANTITY: Schema = {"type": "string", "pattern": "^[0-9.]+([KMGT]i?|m)?$"}


def choice(*values: str) -> Schema:
    """One of these."""
    return {"type": "string", "enum": list(values)}


def section(**properties: Schema) -> Schema:
    """An object with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def whole() -> Schema:
    """The schema."""
    definitions: Schema = {}
    settings = _own(Settings.model_json_schema(), definitions)
    peer = _own(KnownPeer.model_json_schema(by_alias=True), definitions)
    properties = _chart()
    properties["settings"], properties["peers"] = settings, {"type": "array", "items": peer}
    properties["partitions"] = {"type": "array", "items": _partition(definitions)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart gantry",
        **section(**properties),
        "$defs": {**definitions, "role": _role(), "file": _source(roles=True), "otherFile": _source()},
    }


def _own(schema: Schema, definitions: Schema) -> Schema:
    """A model's schema without defaults and titles, its definitions put with the others."""
    definitions |= {name: _plain(value) for name, value in schema.pop("$defs", {}).items()}
    return dict(_plain(schema))


def _partition(definitions: Schema) -> Schema:
    """One of the archives that share a door: its signs, and where the files are from that the door reads of it."""
    schema = _own(PartitionSettings.model_json_schema(), definitions)
    signs = {name: value for name, value in schema["properties"].items() if name != "settings"}
    secrets = section(httpTokens=section(name=TEXT, tokens=TEXT), doorKey=section(name=TEXT, key=TEXT))
    files = section(**{name: {"$ref": "#/$defs/otherFile"} for name in AT_THE_DOOR})
    rest = section(**signs, configMap=TEXT, secrets=secrets, files=files, otherFiles=OTHER_FILES)
    return {**rest, "required": ["name", "configMap"]}


def _plain(node: Any) -> Any:
    """Only what decides: defaults and titles would stand in two places, and no other program knows Python's formats."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: _plain(value) for key, value in node.items() if key not in ("default", "title", "unit", "format")}
    if isinstance(node.get("properties"), dict):  # names of settings, not words of the schema
        schema["properties"] = {name: _plain(value) for name, value in node["properties"].items()}
    if schema.get("description") == "":
        del schema["description"]
    return schema


def _role() -> Schema:
    return section(
        enabled=FLAG,
        replicas={"type": "integer", "minimum": 1},
        resources=FREE,
        autoscaling=section(enabled=FLAG, minReplicas=COUNT, maxReplicas=COUNT, cpu=COUNT, stabilization=COUNT),
        maxUnavailable={"anyOf": [COUNT, {"type": "string", "pattern": "^[0-9]+%$"}]},
        spread=section(**dict.fromkeys(("node", "zone"), choice("", "ScheduleAnyway", "DoNotSchedule"))),
        tmp=QUANTITY,
        nodeSelector=FREE,
        tolerations=LIST,
        affinity=FREE,
        priorityClassName=TEXT,
        podAnnotations=FREE,
        podLabels=FREE,
        env=LIST,
    )


def _source(*, roles: bool = False) -> Schema:
    """Where a file is from."""
    roles_field: Schema = {"roles": {"type": "array", "items": choice(*ROLES)}} if roles else {}
    return {**section(secret=TEXT, configMap=TEXT, key=TEXT, **roles_field), "required": ["key"]}


def _files() -> list[str]:
    """Settings that are a file's path, those that the chart sets itself excepted."""
    sections = {name: field.default for name, field in Settings.model_fields.items()}
    settings = []
    for name, default in sections.items():
        for setting, field in getattr(type(default), "model_fields", {}).items():
            unit = (field.json_schema_extra or {}).get("unit", "")
            if unit.endswith("file") and name not in OWN_SECRETS and f"{name}.{setting}" not in OWN_SECRETS:
                settings.append(f"{name}.{setting}")
    return settings


def _chart() -> Schema:
    role: Schema = {"$ref": "#/$defs/role"}
    authority = section(configMap=TEXT, secret=TEXT, key=TEXT)
    job = section(suspend=FLAG, schedule=TEXT, arguments=TEXTS)
    return {
        "global": FREE,  # helm's own
        "image": section(
            repository=TEXT,
            tag=TEXT,
            digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
            pullPolicy=choice("Always", "IfNotPresent", "Never"),
            pullSecrets=LIST,
        ),
        "secrets": section(
            s3=section(name=TEXT, secretKey=TEXT, accessKey=TEXT),
            kafka=section(
                name=TEXT, password=TEXT, username=TEXT, sasl=choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
            ),
            opensearch=section(name=TEXT, password=TEXT, username=TEXT),
            httpTokens=section(name=TEXT, tokens=TEXT),
            doorKey=section(name=TEXT, key=TEXT, services=FLAG),
            encryption=section(name=TEXT, keys=TEXT),
            tls=section(name=TEXT, certificate=TEXT, key=TEXT, ca=TEXT),
        ),
        "authorities": section(s3=authority, kafka=authority, opensearch=authority),
        "files": section(**{name: {"$ref": "#/$defs/file"} for name in _files()}),
        "otherFiles": OTHER_FILES,
        "auditSpool": section(claim=TEXT),
        "shadowSpool": section(size={"type": "string", "pattern": "^([0-9.]+[KMGT]i?)?$"}, claim=TEXT),
        "existingPeers": TEXT,
        "podCidrs": TEXTS,
        "door": section(
            proxyFrom=TEXTS,
            httpProxyFrom=TEXTS,
            service=section(
                type=choice("LoadBalancer", "NodePort", "ClusterIP"),
                externalTrafficPolicy=choice("Local", "Cluster"),
                port=PORT,
                tlsPort=PORT,
                plain=FLAG,
                nodePort=NODE_PORT,
                tlsNodePort=NODE_PORT,
                annotations=FREE,
                loadBalancerClass=TEXT,
                loadBalancerSourceRanges=TEXTS,
            ),
            elsewhere=section(
                enabled=FLAG,
                partition={"type": "string", "pattern": "^([a-z0-9][a-z0-9-]{0,31})?$"},
                **{"from": LIST},
                address={"type": "string", "pattern": "^([^\\s:]+:[0-9]+)?$"},
            ),
        ),
        "hl7": section(
            proxyFrom=TEXTS,
            service=section(
                type=choice("LoadBalancer", "NodePort", "ClusterIP"),
                externalTrafficPolicy=choice("Local", "Cluster"),
                port=PORT,
                nodePort=NODE_PORT,
                annotations=FREE,
                loadBalancerClass=TEXT,
                loadBalancerSourceRanges=TEXTS,
            ),
        ),
        "defaults": role,
        "roles": section(
            **dict.fromkeys(("door", "ingest", "indexer", "query", "retrieve", "commitment", "orders", "mixed"), role)
        ),
        "keda": section(
            enabled=FLAG,
            minReplicas=COUNT,
            maxReplicas=SECONDS,
            lagThreshold=SECONDS,
            pollingInterval=SECONDS,
            cooldownPeriod=SECONDS,
            triggerAuthentication=TEXT,
            associations=section(
                prometheus={"type": "string", "pattern": "^(https?://[^\\s]+)?$"}, selector=TEXT, perPod=SECONDS
            ),
        ),
        "networkPolicy": section(
            enabled=FLAG,
            **dict.fromkeys(("modalities", "messages", "web", "monitoring", "dns", "stores"), LIST),
            services=LIST,
            destinations=LIST,
            moreDestinations=LIST,
        ),
        "serviceAccount": section(annotations=FREE, name=TEXT),
        "serviceMonitor": section(enabled=FLAG, interval=TEXT, labels=FREE),
        "prometheusRule": section(enabled=FLAG, labels=FREE, runbooks=TEXT),
        "jobs": section(resources=FREE, sweep=job, verify=job, reindex=job, restore=job),
        "canary": section(enabled=FLAG, aeTitle=AE_TITLE, every=SECONDS, arguments=TEXTS, resources=FREE),
        "helmTest": section(enabled=FLAG, aeTitle=AE_TITLE),
    }


def text() -> str:
    """The file."""
    return json.dumps(whole(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
