"""What a door reads of its partitions, and what two organisations may not have in common."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from gantry.common.config.load import load_settings
from gantry.common.errors import ConfigError
from gantry.services.frontdoor.shared import Shared, shared_of


def shared(folder: Path, north: str, south: str, entry: str = "") -> list[Shared]:
    """What the door has of two partitions, whose settings files are these."""
    for name, text in (("north", north), ("south", south)):
        mixed = "" if text.startswith("door:") else "door: {mixed: ['127.0.0.1:1']}\n"
        (folder / f"{name}.yaml").write_text(f"data: {folder}/{name}\n{mixed}{text}")
    door = folder / "door.yaml"
    door.write_text(
        f"http: {{proxy_from: [192.0.2.1]}}\ndoor:\n  partitions:\n"
        f"    - {{name: north, settings: {folder}/north.yaml{entry}}}\n"
        f"    - {{name: south, settings: {folder}/south.yaml, max_associations: 7}}\n"
    )
    return shared_of(load_settings(door, {}))


def stores(objects: str, log: str, index: str) -> str:
    return f"storage: {{objects: '{objects}', log: '{log}', index: '{index}'}}\n"


def test_each_partition_has_the_settings_of_its_file_and_the_proxies_of_the_door(tmp_path: Path) -> None:
    north = "dimse: {ae_title: NORTH}\nhttp: {proxy_from: [127.0.0.1]}\nlab: true\npeers: []\n"
    partitions = shared(tmp_path, north, "dimse: {ae_title: SOUTH}\n")
    assert [partition.signs.ae_title for partition in partitions] == ["NORTH", "SOUTH"]
    assert [partition.most for partition in partitions] == [None, 7]
    assert [str(network) for network in partitions[0].settings.http.proxy_from] == ["192.0.2.1/32"]
    assert not partitions[0].settings.lab


def test_a_door_of_one_archive_has_no_partitions() -> None:
    assert shared_of(load_settings(None, {})) == []


CLUSTER = "s3://archive/north", "kafka://a:9092,b:9092/north", "opensearch://a:9200/north"


@pytest.mark.parametrize(
    ("south", "setting"),
    [
        (("s3://archive/north", *CLUSTER[1:]), "storage.objects"),
        (("s3://archive", "kafka://c/s", "opensearch://c/s"), "storage.objects"),
        (("s3://archive/north/deeper", "kafka://c/s", "opensearch://c/s"), "storage.objects"),
        (("s3://archive/south", "kafka://b:9092/north", "opensearch://c/s"), "storage.log"),
        (("s3://archive/south", "kafka://b:9092/south", "opensearch://a:9200/north/"), "storage.index"),
    ],
)
def test_stores_that_overlap_are_refused(tmp_path: Path, south: tuple[str, str, str], setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{setting} of partitions north and south overlap"):
        shared(tmp_path, stores(*CLUSTER), stores(*south))


def test_a_cluster_is_shared_by_prefixes_of_ones_own(tmp_path: Path) -> None:
    south = stores("s3://archive/north2", "kafka://a:9092,b:9092/south", "opensearch://a:9200/south")
    assert len(shared(tmp_path, stores(*CLUSTER), south)) == 2


def test_a_tier_of_one_is_no_store_of_another(tmp_path: Path) -> None:
    south = stores("s3://archive/south", "kafka://a:9092/south", "opensearch://a:9200/south")
    tier = "tiers: {stores: [{name: cold, url: 's3://archive/north/cold'}]}\n"
    with pytest.raises(ConfigError, match=r"storage\.objects"):
        shared(tmp_path, stores(*CLUSTER), south + tier)


def test_buckets_of_one_name_at_two_servers_are_apart(tmp_path: Path) -> None:
    south = stores("s3://archive/north", "kafka://a:9092/south", "opensearch://a:9200/south")
    server = "s3: {endpoint: 'http://192.0.2.9:7070'}\n"
    assert len(shared(tmp_path, stores(*CLUSTER), south + server)) == 2


def test_names_that_are_not_given_are_the_same(tmp_path: Path) -> None:
    north = stores("s3://a/n", "kafka://a:9092", "opensearch://a:9200/n")
    with pytest.raises(ConfigError, match=r"storage\.log"):
        shared(tmp_path, north, stores("s3://a/s", "kafka://a:9092/gantry", "opensearch://a:9200/s"))


def test_folders_of_embedded_archives_are_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"storage\.objects"):
        shared(tmp_path, "", f"storage: {{objects: 'file://{tmp_path}/north/objects/in'}}\n")


SECRETS = [
    ("encryption", "key_file"),
    ("door", "key_file"),
    ("http", "tokens_file"),
    ("login", "session_key_file"),
    ("sharing", "key_file"),
    ("access", "override_key_file"),
    ("subscriptions", "key_file"),
    ("access", "users_file"),
]


def with_secret(folder: Path, section: str, name: str, file: str) -> str:
    """The settings of a partition that has a file of this name."""
    mixed = "mixed: ['127.0.0.1:1'], " if section == "door" else ""
    return f"{section}: {{{mixed}{name}: {folder}/{file}}}\n"


@pytest.mark.parametrize(("section", "name"), SECRETS)
def test_a_secret_is_of_one_partition_whether_its_file_is_named_twice_or_copied(
    tmp_path: Path, section: str, name: str
) -> None:
    """Destroying one archive's keys leaves the other readable, and who is known at one is nobody at the other."""
    texts = [with_secret(tmp_path, section, name, file) for file in ("one", "one", "copy", "other")]
    words = rf"partitions north and south share {section}\.{name}"
    with pytest.raises(ConfigError, match=words):  # the door need not be able to read it
        shared(tmp_path, *texts[:2])
    (tmp_path / "one").write_text("ris:a-secret-of-32-characters-or-more\n")
    (tmp_path / "copy").write_text("ris:a-secret-of-32-characters-or-more")
    (tmp_path / "other").write_text("ris:another-secret-of-32-characters\n")
    with pytest.raises(ConfigError, match=words):
        shared(tmp_path, *texts[:2])
    with pytest.raises(ConfigError, match=words):
        shared(tmp_path, texts[0], texts[2])
    assert len(shared(tmp_path, texts[0], texts[3])) == 2


@pytest.mark.parametrize(
    ("name", "first", "other", "is_shared"),
    [
        ("login: {session_key_file", "# new\nnew key\nold key\n", "old key\n", True),
        ("login: {session_key_file", "# ours\nnew key\n", "# ours\nother key\n", False),
        ("http: {tokens_file", "a:0123456789abcdef0\nb:0123456789abcdef1\n", "c:0123456789abcdef1 roles=patient", True),
        ("http: {tokens_file", "a:0123456789abcdef0\n", f"a:sha256={sha256(b'0123456789abcdef0').hexdigest()}", True),
        ("http: {tokens_file", "a:0123456789abcdef0\n", "a:0123456789abcdef1\n", False),
        ("access: {users_file", "anna:- roles=radiologist\nbob:-\n", "anna:- roles=radiologist\n", False),
    ],
    ids=["a key in turn", "comments", "one token", "its digest", "names of tokens", "names of users"],
)
def test_one_secret_in_common_is_enough_and_names_are_none(
    tmp_path: Path, name: str, first: str, other: str, is_shared: bool
) -> None:
    for file, text in (("one", first), ("other", other)):
        (tmp_path / file).write_text(text)
    texts = [f"{name}: {tmp_path}/{file}}}\n" for file in ("one", "other")]
    if not is_shared:
        assert len(shared(tmp_path, *texts)) == 2
        return
    with pytest.raises(ConfigError, match="or a secret in it"):
        shared(tmp_path, *texts)


def test_a_partition_has_no_partitions(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text("")
    inner = tmp_path / "north.yaml"
    inner.write_text(f"door: {{partitions: [{{name: deep, settings: {tmp_path}/inner.yaml}}]}}\n")
    door = tmp_path / "door.yaml"
    door.write_text(f"door: {{partitions: [{{name: north, settings: {inner}}}]}}\n")
    with pytest.raises(ConfigError, match="has no partitions"):
        shared_of(load_settings(door, {}))


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [("", False), ("https://p.example", False), ("https://p.example/north", True), ("https://north.example", True)],
)
def test_answers_below_a_path_say_so(tmp_path: Path, url: str, is_taken: bool) -> None:
    text, entry = f"http: {{url: '{url}'}}\n" if url else "", ", path: /north, hosts: [north.example]"
    if is_taken:
        assert shared(tmp_path, text, "", entry)[0].signs.path == "/north"
    else:
        with pytest.raises(ConfigError, match=r"http\.url must end with /north"):
            shared(tmp_path, text, "", entry)


def test_a_mistake_in_a_partitions_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"south\.yaml"):
        shared(tmp_path, "", "nothing: {like: this}\n")
