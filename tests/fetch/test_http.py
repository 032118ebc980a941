"""Downloads are resumed, checked and never glued together from two versions."""

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medstress.errors import MedstressError
from medstress.fetch.checksum import known_checksum
from medstress.fetch.http import Patience, download, file_name
from medstress.fetch.request import NotThereError, Remote, shown
from tests.fetch.conftest import HASTY
from tests.fetch.server import File, Server

CONTENT = np.random.default_rng(1).bytes(300_000)


def get(server: Server, target: Path, path: str = "/a.bin", **facts: Any) -> bytes:
    checksum = known_checksum(facts.pop("sha256", None), facts.pop("md5", None))
    download(Remote(f"{server.base}{path}", checksum=checksum, **facts), target, HASTY)
    return target.read_bytes()


def left_beside(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def test_a_file_comes_whole_and_its_checksum_is_checked(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT)
    target = tmp_path / "deep" / "a.bin"
    assert get(server, target, sha256=server.files["/a.bin"].sha256) == CONTENT
    assert left_beside(target) == []


@pytest.mark.parametrize("fact", [{"etag": '"v1"'}, {"modified": "Sat, 01 Nov 2025 10:00:00 GMT"}])
def test_a_cut_connection_goes_on_where_it_stopped(server: Server, tmp_path: Path, fact: dict[str, str]) -> None:
    server.files["/a.bin"] = File(CONTENT, cuts=[100_000, 50_000], **fact)
    assert get(server, tmp_path / "a.bin") == CONTENT
    asked = server.asked_for("/a.bin")
    assert [item.get("Range") for item in asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert [item.get("If-Range") for item in asked[1:]] == list(fact.values()) * 2


def test_progress_starts_the_count_of_tries_again(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT, etag='"v1"', cuts=[30_000] * 8)
    assert get(server, tmp_path / "a.bin") == CONTENT
    assert len(server.asked) == 9 > HASTY.tries


def test_a_silent_server_is_left_and_asked_again(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT, etag='"v1"', stalls=1)
    download(Remote(f"{server.base}/a.bin"), tmp_path / "a.bin", Patience(3, 0.001, 0.01, silence=0.2))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked[-1][2]["Range"] == "bytes=150000-"


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server: Server, tmp_path: Path) -> None:
    file = server.files["/a.bin"] = File(CONTENT, etag='"v1"', cuts=[100_000], answers=[])
    target = tmp_path / "a.bin"
    file.cuts += [0, 0, 0]
    with pytest.raises(MedstressError, match=r"cut at 100000 of 300000 bytes, 3 times.*100000 bytes are kept"):
        get(server, target)
    assert not target.exists()
    assert get(server, target) == CONTENT
    assert server.asked[-1][2]["Range"] == "bytes=100000-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    file = server.files["/a.bin"] = File(CONTENT, etag='"v1"', cuts=[100_000, 0, 0, 0])
    with pytest.raises(MedstressError):
        get(server, tmp_path / "a.bin")
    file.content, file.etag, file.cuts = CONTENT[::-1], '"v2"', []
    assert get(server, tmp_path / "a.bin") == CONTENT[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_version_nothing_is_resumed(server: Server, tmp_path: Path, etag: str) -> None:
    server.files["/a.bin"] = File(CONTENT, etag=etag, cuts=[100_000])
    assert get(server, tmp_path / "a.bin") == CONTENT
    assert [item.get("Range") for item in server.asked_for("/a.bin")] == [None, None]


def test_a_checksum_allows_to_resume_without_a_version(server: Server, tmp_path: Path) -> None:
    file = server.files["/a.bin"] = File(CONTENT, cuts=[100_000])
    assert get(server, tmp_path / "a.bin", sha256=file.sha256) == CONTENT
    assert [item.get("Range") for item in server.asked_for("/a.bin")] == [None, "bytes=100000-"]


def test_a_server_that_glues_is_found_out_by_the_checksum(server: Server, tmp_path: Path) -> None:
    file = server.files["/a.bin"] = File(CONTENT, etag='"v1"', cuts=[100_000, 0, 0, 0], glues=True)
    with pytest.raises(MedstressError):
        get(server, tmp_path / "a.bin")
    file.content, file.etag, file.cuts = CONTENT[::-1], '"v2"', []
    assert get(server, tmp_path / "a.bin", sha256=file.sha256) == CONTENT[::-1]
    assert [item.get("Range") for item in server.asked_for("/a.bin")][-2:] == ["bytes=100000-", None]


def test_a_server_without_ranges_sends_the_whole_file(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT, etag='"v1"', cuts=[100_000], ranges=False)
    assert get(server, tmp_path / "a.bin") == CONTENT


def test_a_part_that_is_longer_than_the_file_is_dropped(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT, etag='"v1"')
    (tmp_path / "a.bin.part").write_bytes(CONTENT * 2)
    facts = {"url": f"{server.base}/a.bin", "version": '"v1"'}
    (tmp_path / "a.bin.part.json").write_text(json.dumps(facts))
    assert get(server, tmp_path / "a.bin") == CONTENT


def test_wrong_content_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT)
    with pytest.raises(
        MedstressError, match=f"sha256 is {server.files['/a.bin'].sha256}, but the card says {'0' * 64}"
    ):
        get(server, tmp_path / "a.bin", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_an_md5_is_checked_where_it_is_all_that_a_publisher_gives(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT)
    right = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert get(server, tmp_path / "a.bin", md5=right) == CONTENT
    with pytest.raises(MedstressError, match=f"md5 is {right}, but the card says {'0' * 32}. It was not kept"):
        get(server, tmp_path / "b.bin", md5="0" * 32)
    assert left_beside(tmp_path / "a.bin") == []
    # The sha256 says more, so it alone decides.
    assert get(server, tmp_path / "c.bin", sha256=server.files["/a.bin"].sha256, md5="0" * 32) == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_when_it_says(
    server: Server, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.files["/a.bin"] = File(CONTENT, answers=[(status, {"Retry-After": "0"}), (status, {})])
    with caplog.at_level(logging.INFO, "medstress"):
        assert get(server, tmp_path / "a.bin") == CONTENT
    pauses = [record.getMessage() for record in caplog.records if "trying again" in record.getMessage()]
    assert len(pauses) == 2
    assert "again in 0 s" in pauses[0]  # as the server asks
    assert "again in 0.002 s" in pauses[1]  # doubled


def test_a_pause_is_what_the_server_asks_for_but_not_for_ever() -> None:
    patience = Patience(first_wait=1, longest_wait=100)
    assert [patience.wait(failed, None) for failed in (1, 2, 3, 20)] == [1, 2, 4, 100]
    assert patience.wait(1, 30) == 30
    assert patience.wait(1, 86400) == 100


def test_a_server_that_stays_busy_is_given_up(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT, answers=[(503, {})] * 5)
    with pytest.raises(MedstressError, match=r"answers 503.*3 times in a row.*MEDSTRESS_MIRROR"):
        get(server, tmp_path / "a.bin")
    assert len(server.asked) == HASTY.tries


def test_no_network_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match=r"cannot be reached.*snakemake fetch.*MEDSTRESS_MIRROR"):
        download(Remote("http://127.0.0.1:9/a.bin"), tmp_path / "a.bin", HASTY)


def test_a_file_that_is_not_there_is_not_asked_for_twice(server: Server, tmp_path: Path) -> None:
    with pytest.raises(NotThereError, match=r"no such file on the server \(404\)"):
        get(server, tmp_path / "a.bin")
    assert len(server.asked) == 1


def test_a_login_names_the_variable_and_never_the_token(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT, token="Bearer right")
    with pytest.raises(MedstressError, match=r"wants a login \(401\).*environment as \$MY_TOKEN") as caught:
        get(server, tmp_path / "a.bin", token_variable="MY_TOKEN")
    with pytest.raises(MedstressError, match=r"refuses the token in \$MY_TOKEN") as wrong:
        get(server, tmp_path / "a.bin", token="wrong-secret", token_variable="MY_TOKEN")
    assert "secret" not in f"{caught.value}{wrong.value}"
    with pytest.raises(MedstressError, match=r"a variable that `download.token` names"):
        get(server, tmp_path / "a.bin")
    assert get(server, tmp_path / "a.bin", token="right", token_variable="MY_TOKEN") == CONTENT


def test_a_token_follows_a_redirect_only_to_the_same_server(
    server: Server, other_server: Server, tmp_path: Path
) -> None:
    server.files["/b.bin"] = File(CONTENT, token="Bearer right")
    other_server.files["/c.bin"] = File(CONTENT)
    server.redirects = {"/a.bin": "/b.bin", "/far.bin": f"{other_server.base}/c.bin"}
    assert get(server, tmp_path / "near", token="right") == CONTENT
    assert get(server, tmp_path / "far", "/far.bin", token="right") == CONTENT
    assert "Authorization" not in other_server.asked_for("/c.bin")[0]


@pytest.mark.parametrize("elsewhere", ["file:///etc/passwd", "ftp://127.0.0.1/a.bin"])
def test_a_redirect_away_from_the_web_is_refused(server: Server, tmp_path: Path, elsewhere: str) -> None:
    server.redirects["/a.bin"] = elsewhere
    with pytest.raises(MedstressError, match=r"not allowed|no web address"):
        get(server, tmp_path / "a.bin")


def test_resuming_works_behind_a_redirect(server: Server, other_server: Server, tmp_path: Path) -> None:
    other_server.files["/c.bin"] = File(CONTENT, etag='"v1"', cuts=[100_000])
    server.redirects["/a.bin"] = f"{other_server.base}/c.bin?signature=secret"
    assert get(server, tmp_path / "a.bin") == CONTENT
    assert other_server.asked_for("/c.bin")[1]["Range"] == "bytes=100000-"


def test_a_password_in_a_url_is_used_and_never_shown(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.files["/a.bin"] = File(CONTENT, token="Basic bWU6c2VjcmV0")
    url = f"{server.base.replace('//', '//me:secret@')}/a.bin?key=secret"
    with caplog.at_level(logging.INFO):
        download(Remote(url), tmp_path / "a.bin", HASTY)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert "secret" not in caplog.text
    assert shown(url) == f"{server.base}/a.bin"


def test_a_full_disk_is_noticed_before_the_first_byte(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/a.bin"] = File(CONTENT)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(MedstressError, match=r"needs 0.00 GB, but 0.00 GB are free.*downloads/ a link"):
        get(server, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()


def test_bytes_that_are_changed_on_the_way_are_refused(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = File(CONTENT, headers={"Content-Encoding": "gzip"})
    with pytest.raises(MedstressError, match="changes the bytes on the way"):
        get(server, tmp_path / "a.bin")


def test_the_name_of_a_file_is_the_end_of_its_path() -> None:
    assert file_name("https://example.org/a/My%20Data.zip?download=1") == "My Data.zip"
    for url in ("https://example.org/", "https://example.org/a/.."):
        with pytest.raises(MedstressError, match="names no file"):
            file_name(url)
