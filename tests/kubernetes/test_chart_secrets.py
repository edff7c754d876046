"""The chart's secrets and files: which pod gets which, and where they are mounted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kubernetes.chart import (
    PLAIN,
    ROLES,
    mounted_files,
    refusal,
    render,
)
from tests.support.archive import ROOT

FILES = (
    'files={"login.session_key_file": {"secret": "login", "key": "sessions"}, '
    '"audit.syslog_ca": {"configMap": "ca", "key": "ca.crt"}, '
    '"audit.evidence_key": {"secret": "evidence", "key": "key.pem", "roles": ["indexer"]}}'
)


def test_files_that_settings_name_come_from_secrets_to_all_or_to_the_roles_that_need_them(tmp_path: Path) -> None:
    login = 'settings.login={"issuer": "sso", "client_id": "gantry"}'
    rendered = render(PLAIN, FILES, login, 'otherFiles={"ris": {"secret": "hooks", "key": "ris"}}')
    for role in ROLES:
        settings, mounted = rendered.settings(role, tmp_path), mounted_files(rendered, role)
        assert str(settings.login.session_key_file) == "/etc/gantry/files/login.session_key_file"
        files = [settings.login.session_key_file, settings.audit.syslog_ca, settings.audit.evidence_key]
        named = {str(file) for file in files if file is not None}
        assert named == {name for name in mounted if name.startswith("/etc/gantry/files/")}
        assert ("/etc/gantry/files/audit.evidence_key" in named) == (role == "indexer")
        assert "/etc/gantry/other/ris" in mounted
    (job, *_) = rendered.of("CronJob").values()
    (files,) = (v for v in job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"] if v["name"] == "files")
    assert "evidence" not in json.dumps(files)


def test_the_door_gets_no_secret_of_a_store() -> None:
    rendered = render(ROOT / "deploy" / "helm" / "examples" / "on-premises.yaml")
    assert {file.rsplit("/", 1)[1] for file in mounted_files(rendered, "door")} == {
        *("peers.yaml", "http-tokens", "door-key", "tls.crt", "tls.key", "ca.crt")
    }
    assert not [name for name in rendered.environment("door") if name.startswith(("GANTRY_S3", "GANTRY_KAFKA"))]


KEY = "/etc/gantry/secrets/door-key"


def _mounts_key(pod: dict[str, Any]) -> bool:
    sources = [source for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", [])]
    items = [item for source in sources for item in source.get("secret", {}).get("items", [])]
    return {"key": "key", "path": "door-key"} in items


def test_door_and_services_get_their_key_from_a_secret_and_jobs_none(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'secrets.doorKey={"name": "theirs", "key": "key"}')
    for role in ROLES:
        assert str(rendered.settings(role, tmp_path).door.key_file) == KEY, role
        assert _mounts_key(rendered.pod(role)), role
    for job in rendered.of("CronJob").values():
        assert not _mounts_key(job["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def test_who_opens_the_object_store_gets_the_keys_that_objects_are_encrypted_with_and_the_door_none(
    tmp_path: Path,
) -> None:
    rendered = render(PLAIN, 'secrets.encryption={"name": "theirs", "keys": "all"}')
    mounted = "/etc/gantry/secrets/encryption"
    for role in ROLES:
        assert (mounted in mounted_files(rendered, role)) == (role != "door"), role
        assert (str(rendered.settings(role, tmp_path).encryption.key_file) == mounted) == (role != "door"), role
    for name, job in rendered.of("CronJob").items():
        pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        environment = {variable["name"]: variable.get("value") for variable in pod["containers"][0]["env"]}
        assert environment.get("GANTRY_ENCRYPTION__KEY_FILE") == (None if "canary" in name else mounted), name


def test_the_door_gets_the_key_before_services_ask_for_it(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'secrets.doorKey={"name": "theirs", "key": "key", "services": false}')
    assert {role for role in ROLES if rendered.settings(role, tmp_path).door.key_file} == {"door"}
    assert {role for role in ROLES if _mounts_key(rendered.pod(role))} == {"door"}


def test_no_key_is_asked_for_where_none_is_named(tmp_path: Path) -> None:
    rendered = render(PLAIN, 'secrets.doorKey={"name": ""}')
    assert not [role for role in ROLES if rendered.settings(role, tmp_path).door.key_file]
    assert "settings.door.key_file" in refusal(PLAIN, 'settings.door={"key_file": "/etc/key"}')
