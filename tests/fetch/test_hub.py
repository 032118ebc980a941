"""Repositories come through the hub's own client, from a server that answers as the hub does."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medstress.cards.download import Download
from medstress.errors import MedstressError
from medstress.fetch.hub import fetch_from_hub
from tests.fetch.conftest import HASTY
from tests.fetch.server import File, Server

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = {
    "config.json": b'{"hidden": 8}',
    "model.safetensors": np.random.default_rng(2).bytes(50_000),
    "sub/notes.md": b"notes",
}


@pytest.fixture
def hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The parts of the hub's API that the client asks for, with one repository."""
    publish(server, REPOSITORY)
    monkeypatch.setenv("HF_ENDPOINT", server.base)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    return server


def publish(server: Server, files: dict[str, bytes], kind: str = "models", prefix: str = "", token: str = "") -> None:
    siblings: list[dict[str, Any]] = []
    for name, content in files.items():
        facts: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            facts["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
        siblings.append(facts)
        etag = facts["lfs"]["sha256"] if "lfs" in facts else facts["blobId"]
        server.files[f"{prefix}/our/repo/resolve/{COMMIT}/{name}"] = File(
            content, etag=f'"{etag}"', headers={"X-Repo-Commit": COMMIT}, token=token
        )
    info = {"id": "our/repo", "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
    tree = [
        {"type": "file", "path": item["rfilename"], "size": item["size"], "oid": item["blobId"]}
        | ({"lfs": {"oid": item["lfs"]["sha256"], "size": item["size"], "pointerSize": 130}} if "lfs" in item else {})
        for item in siblings
    ]
    as_json = {"Content-Type": "application/json"}
    for revision in ("main", COMMIT):
        path = f"/api/{kind}/our/repo/revision/{revision}"
        server.files[path] = File(json.dumps(info).encode(), headers=as_json, token=token)
    server.files[f"/api/{kind}/our/repo/tree/{COMMIT}"] = File(json.dumps(tree).encode(), headers=as_json, token=token)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_repository_comes_whole_and_says_its_commit(hub: Server, tmp_path: Path) -> None:
    assert fetch_from_hub(Download(hub="our/repo"), tmp_path / "here", HASTY) == COMMIT
    assert files_in(tmp_path / "here") == REPOSITORY


def test_names_and_patterns_choose_files(hub: Server, tmp_path: Path) -> None:
    fetch_from_hub(Download(hub="our/repo", files=["*.json", "model.safetensors"]), tmp_path / "here", HASTY)
    assert sorted(files_in(tmp_path / "here")) == ["config.json", "model.safetensors"]
    with pytest.raises(MedstressError, match=r"has no file pytorch_model.bin. It has config.json, model.safetensors"):
        fetch_from_hub(Download(hub="our/repo", files=["pytorch_model.bin"]), tmp_path / "none", HASTY)


def test_a_repository_of_data_is_asked_for_as_such(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.base)
    publish(server, {"a.csv": b"1,2"}, kind="datasets", prefix="/datasets")
    fetch_from_hub(Download(hub="our/repo", dataset=True), tmp_path / "here", HASTY)
    assert files_in(tmp_path / "here") == {"a.csv": b"1,2"}


def test_the_token_comes_from_the_variable_that_the_card_names(hub: Server, tmp_path: Path, monkeypatch: Any) -> None:
    publish(hub, REPOSITORY, token="Bearer hf_secret")
    with pytest.raises(MedstressError, match=r"not open to you: \$OUR_TOKEN holds no token.*huggingface.co/our/repo"):
        fetch_from_hub(Download(hub="our/repo", token="OUR_TOKEN"), tmp_path / "here", HASTY)
    monkeypatch.setenv("OUR_TOKEN", "hf_wrong")
    with pytest.raises(MedstressError, match=r"the token in \$OUR_TOKEN does not open it") as caught:
        fetch_from_hub(Download(hub="our/repo", token="OUR_TOKEN"), tmp_path / "here", HASTY)
    assert "hf_wrong" not in str(caught.value)
    monkeypatch.setenv("OUR_TOKEN", "hf_secret")
    fetch_from_hub(Download(hub="our/repo", token="OUR_TOKEN"), tmp_path / "here", HASTY)
    assert files_in(tmp_path / "here") == REPOSITORY


def test_a_file_that_is_not_what_the_hub_lists_is_not_kept(hub: Server, tmp_path: Path) -> None:
    served = hub.files[f"/our/repo/resolve/{COMMIT}/model.safetensors"]
    served.content = served.content[::-1]
    with pytest.raises(MedstressError, match=r"model.safetensors is not what the hub lists"):
        fetch_from_hub(Download(hub="our/repo"), tmp_path / "here", HASTY)
    assert not (tmp_path / "here" / "model.safetensors").exists()


def test_a_hub_that_stays_away_is_no_success_even_where_files_lie(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MedstressError, match=r"hub cannot be reached.*MEDSTRESS_MIRROR"):
        fetch_from_hub(Download(hub="our/repo"), tmp_path, HASTY)


def test_a_revision_that_is_not_there_is_named(hub: Server, tmp_path: Path) -> None:
    hub.files["/api/models/our/repo/revision/v9"] = File(b"", answers=[(404, {"X-Error-Code": "RevisionNotFound"})])
    with pytest.raises(MedstressError, match="has no revision 'v9'"):
        fetch_from_hub(Download(hub="our/repo", revision="v9"), tmp_path / "here", HASTY)
