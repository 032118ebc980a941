"""A card's files come from where it says, from a mirror or from a person, whole or not at all."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from medstress.cards.classifier import OpenClip, RobustMedClip, UniMedClip
from medstress.cards.download import Download
from medstress.cards.segmentation import SegmentationCard
from medstress.cards.segmenter import MedSam, Sam, UNet
from medstress.errors import MedstressError
from medstress.fetch.fetch import Fetched, fetch, write_stamp
from medstress.fetch.plan import dataset_folder, weights_folder, weights_path, weights_sums, weights_wanted
from medstress.specs import FetchSpec
from tests.fetch.conftest import HASTY
from tests.fetch.server import File, Server

WEIGHTS = b"weights" * 10_000
SUM = hashlib.sha256(WEIGHTS).hexdigest()
FOLDER = "downloads/datasets/lesions"


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


IMAGES, MASKS = zip_of({"images/a.png": b"image"}), zip_of({"masks/a.png": b"mask"})


def weights_spec(server: Server, **changes: Any) -> FetchSpec:
    facts: dict[str, Any] = {
        "name": "net",
        "downloads": [{"url": f"{server.base}/net.pth", "sha256": SUM}],
        "folder": "downloads/models/net",
        "wanted": ["downloads/models/net/net.pth"],
    }
    return FetchSpec.model_validate(facts | changes)


def dataset_spec(server: Server, **changes: Any) -> FetchSpec:
    facts: dict[str, Any] = {
        "name": "lesions",
        "downloads": [
            {"url": f"{server.base}/images.zip", "unpack": True},
            {"url": f"{server.base}/masks.zip", "unpack": True},
        ],
        "folder": FOLDER,
        "wanted": [f"{FOLDER}/images", f"{FOLDER}/masks"],
    }
    return FetchSpec.model_validate(facts | changes)


def content_of(folder: Path) -> dict[str, bytes]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not path.name.startswith(".")}


LESIONS = {"images/a.png": b"image", "masks/a.png": b"mask"}


def test_weights_come_to_where_the_card_wants_them(server: Server, tmp_path: Path) -> None:
    server.files["/net.pth"] = File(WEIGHTS)
    done = fetch(weights_spec(server), tmp_path, HASTY)
    assert done == Fetched(f"{server.base}/net.pth", 1, len(WEIGHTS))
    assert content_of(tmp_path / "downloads") == {"models/net/net.pth": WEIGHTS}
    assert sorted(path.name for path in (tmp_path / "downloads/models").iterdir()) == ["net"]
    write_stamp(tmp_path / "downloads/models/net/.fetched.json", done)
    assert json.loads((tmp_path / "downloads/models/net/.fetched.json").read_text())["bytes"] == len(WEIGHTS)


def test_what_is_there_is_not_fetched(server: Server, tmp_path: Path) -> None:
    own = tmp_path / "downloads/models/net/net.pth"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"my own copy")
    assert fetch(weights_spec(server), tmp_path, HASTY).source == "found"
    assert server.asked == []
    with pytest.raises(MedstressError, match=f"net.pth: its sha256 is .*but the card says {SUM}"):
        fetch(weights_spec(server, sha256={"downloads/models/net/net.pth": SUM}), tmp_path, HASTY)
    assert own.read_bytes() == b"my own copy"
    with pytest.raises(MedstressError, match=r"net/model\.safetensors: no such file, but the card has its sha256"):
        fetch(weights_spec(server, sha256={"downloads/models/net/model.safetensors": SUM}), tmp_path, HASTY)


def test_archives_become_one_folder(server: Server, tmp_path: Path) -> None:
    server.files |= {"/images.zip": File(IMAGES), "/masks.zip": File(MASKS)}
    assert fetch(dataset_spec(server), tmp_path, HASTY).files == 2
    assert content_of(tmp_path / FOLDER) == LESIONS
    assert fetch(dataset_spec(server), tmp_path, HASTY).source == "found"
    assert len(server.asked) == 2


def test_archives_with_the_same_names_go_into_folders(server: Server, tmp_path: Path) -> None:
    server.files |= {"/images.zip": File(zip_of({"a.png": b"image"})), "/masks.zip": File(zip_of({"a.png": b"mask"}))}
    with pytest.raises(MedstressError, match=r"several downloads of the card bring a.png. Use `into`"):
        fetch(dataset_spec(server), tmp_path, HASTY)
    into = [{"url": f"{server.base}/{name}.zip", "unpack": True, "into": name} for name in ("images", "masks")]
    fetch(dataset_spec(server, downloads=into), tmp_path, HASTY)
    assert content_of(tmp_path / FOLDER) == LESIONS


def test_a_stopped_run_keeps_what_it_had(server: Server, tmp_path: Path) -> None:
    server.files["/images.zip"] = File(IMAGES)
    with pytest.raises(MedstressError, match=r"masks.zip: no such file"):
        fetch(dataset_spec(server), tmp_path, HASTY)
    assert not (tmp_path / FOLDER).exists()
    server.files["/masks.zip"] = File(MASKS)
    fetch(dataset_spec(server), tmp_path, HASTY)
    assert content_of(tmp_path / FOLDER) == LESIONS
    assert len(server.asked_for("/images.zip")) == 1


def test_a_download_with_another_layout_says_what_came(server: Server, tmp_path: Path) -> None:
    server.files |= {"/images.zip": File(zip_of({"pictures/a.png": b"image"})), "/masks.zip": File(MASKS)}
    with pytest.raises(MedstressError, match=r"has no images; it has .*pictures/a.png.*Correct the paths in the card"):
        fetch(dataset_spec(server), tmp_path, HASTY)
    assert not (tmp_path / FOLDER).exists()


def test_files_of_a_card_before_it_was_changed_are_left_out(server: Server, tmp_path: Path) -> None:
    server.files |= {"/old.zip": File(zip_of({"pictures/a.png": b"old"})), "/images.zip": File(IMAGES)}
    server.files["/masks.zip"] = File(MASKS)
    old, *rest = ({"url": f"{server.base}/{name}.zip", "unpack": True} for name in ("old", "images", "masks"))
    with pytest.raises(MedstressError, match=r"or delete .*/\.lesions\.partial to fetch again"):
        fetch(dataset_spec(server, downloads=[old, rest[1]]), tmp_path, HASTY)
    fetch(dataset_spec(server), tmp_path, HASTY)
    assert content_of(tmp_path / FOLDER) == LESIONS
    missing = {"url": f"{server.base}/missing.zip", "unpack": True}
    with pytest.raises(MedstressError, match="no such file"):
        fetch(dataset_spec(server, downloads=[*rest, old, missing]), tmp_path / "more", HASTY)
    fetch(dataset_spec(server), tmp_path / "more", HASTY)
    assert content_of(tmp_path / "more" / FOLDER) == LESIONS


def test_half_a_copy_of_a_mirror_is_left_out(server: Server, tmp_path: Path) -> None:
    half = tmp_path / "downloads/datasets/.lesions.partial/content/images/b.png"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"hal")
    server.files |= {"/images.zip": File(IMAGES), "/masks.zip": File(MASKS)}
    fetch(dataset_spec(server), tmp_path, HASTY)
    assert content_of(tmp_path / FOLDER) == LESIONS


def test_a_half_copied_folder_is_never_touched(server: Server, tmp_path: Path) -> None:
    (tmp_path / FOLDER / "images").mkdir(parents=True)
    (tmp_path / FOLDER / "images" / "a.png").write_bytes(b"mine")
    with pytest.raises(MedstressError, match=r"holds images, but not downloads/datasets/lesions/masks. Complete it"):
        fetch(dataset_spec(server), tmp_path, HASTY)
    assert content_of(tmp_path / FOLDER) == {"images/a.png": b"mine"}
    assert server.asked == []


def test_a_card_that_names_another_place_does_not_pass_old_files_off(server: Server, tmp_path: Path) -> None:
    server.files |= {"/images.zip": File(IMAGES), "/masks.zip": File(MASKS), "/new.pth": File(WEIGHTS)}
    server.files["/net.pth"] = File(WEIGHTS)
    fetch(weights_spec(server), tmp_path, HASTY)
    moved = weights_spec(server, downloads=[{"url": f"{server.base}/new.pth"}])
    with pytest.raises(MedstressError, match="fetched from another place than the card now names"):
        fetch(moved, tmp_path, HASTY)


def test_by_hand_says_what_to_do_and_takes_what_a_person_put_there(tmp_path: Path) -> None:
    spec = FetchSpec(
        name="lesions",
        downloads=[Download(by_hand="Register at example.org and unpack data.zip into downloads/datasets/lesions.")],
        folder=FOLDER,
        wanted=[f"{FOLDER}/images"],
    )
    with pytest.raises(
        MedstressError, match=r"Register at example.org[\s\S]*Missing now: downloads/datasets/lesions/im"
    ):
        fetch(spec, tmp_path, HASTY)
    (tmp_path / FOLDER / "images").mkdir(parents=True)
    with pytest.raises(MedstressError, match="Missing now"):  # an empty folder is no data set
        fetch(spec, tmp_path, HASTY)
    (tmp_path / FOLDER / "images" / "a.png").write_bytes(b"image")
    assert fetch(spec, tmp_path, HASTY) == Fetched("found", 1, 5)


def test_a_folder_as_mirror_may_hold_the_archives(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    shelf = tmp_path / "shelf" / "lesions"
    shelf.mkdir(parents=True)
    (shelf / "images.zip").write_bytes(IMAGES)
    (shelf / "masks.zip").write_bytes(MASKS)
    monkeypatch.setenv("MEDSTRESS_MIRROR", str(tmp_path / "shelf"))
    fetch(dataset_spec(server), tmp_path, HASTY)
    assert content_of(tmp_path / FOLDER) == LESIONS
    assert server.asked == []


def test_a_folder_as_mirror_may_hold_the_files_as_they_should_lie(
    server: Server, tmp_path: Path, monkeypatch: Any
) -> None:
    for name, content in LESIONS.items():
        (tmp_path / "shelf" / "lesions" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shelf" / "lesions" / name).write_bytes(content)
    monkeypatch.setenv("MEDSTRESS_MIRROR", str(tmp_path / "shelf"))
    for downloads in ([{"url": f"{server.base}/x.zip", "unpack": True}], [{"hub": "our/repo"}], [{"by_hand": "Ask."}]):
        root = tmp_path / str(next(iter(downloads[0])))
        done = fetch(dataset_spec(server, downloads=downloads), root, HASTY)
        assert done.source == str(tmp_path / "shelf" / "lesions")
        assert content_of(root / FOLDER) == LESIONS


def test_a_folder_without_the_card_leads_to_the_source(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "shelf").mkdir()
    monkeypatch.setenv("MEDSTRESS_MIRROR", str(tmp_path / "shelf"))
    server.files["/net.pth"] = File(WEIGHTS)
    assert fetch(weights_spec(server), tmp_path, HASTY).source == f"{server.base}/net.pth"


def test_a_mirror_that_is_not_there_is_an_error(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MEDSTRESS_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(MedstressError, match=r"MEDSTRESS_MIRROR: .*neither a folder nor an address"):
        fetch(weights_spec(server), tmp_path, HASTY)


def test_a_file_of_the_mirror_is_checked_like_any_other(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "shelf" / "net").mkdir(parents=True)
    (tmp_path / "shelf" / "net" / "net.pth").write_bytes(b"other")
    monkeypatch.setenv("MEDSTRESS_MIRROR", str(tmp_path / "shelf"))
    with pytest.raises(MedstressError, match=f"but the card says {SUM}"):
        fetch(weights_spec(server), tmp_path, HASTY)
    assert not (tmp_path / "downloads/models/net").exists()


def test_a_server_as_mirror_comes_first_and_sees_no_token(
    server: Server, other_server: Server, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MEDSTRESS_MIRROR", other_server.base)
    monkeypatch.setenv("MY_TOKEN", "secret")
    downloads = [
        {"url": f"{server.base}/{name}.zip", "unpack": True, "token": "MY_TOKEN"} for name in ("images", "masks")
    ]
    other_server.files["/lesions/images.zip"] = File(IMAGES)
    server.files["/masks.zip"] = File(MASKS, token="Bearer secret")
    fetch(dataset_spec(server, downloads=downloads), tmp_path, HASTY)
    assert content_of(tmp_path / FOLDER) == LESIONS
    assert [path for _, path, _ in server.asked] == ["/masks.zip"]
    assert not [headers for _, _, headers in other_server.asked if "Authorization" in headers]


def test_files_of_a_hub_come_from_a_server_by_their_names(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MEDSTRESS_MIRROR", server.base)
    server.files |= {"/net/config.json": File(b"{}"), "/net/model.safetensors": File(WEIGHTS)}
    downloads = [{"hub": "our/repo", "files": ["config.json", "model.safetensors"]}]
    spec = weights_spec(
        server,
        downloads=downloads,
        wanted=["downloads/models/net"],
        sha256={"downloads/models/net/model.safetensors": SUM},
    )
    fetch(spec, tmp_path, HASTY)
    assert content_of(tmp_path / "downloads/models/net") == {"config.json": b"{}", "model.safetensors": WEIGHTS}


def test_a_token_goes_to_a_url_only_where_the_card_names_it(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    server.files["/net.pth"] = File(WEIGHTS)
    fetch(weights_spec(server), tmp_path, HASTY)
    assert "Authorization" not in server.asked[0][2]


def test_only_what_lies_below_downloads_is_fetched() -> None:
    source = Download(url="https://example.org/a.pth")
    facts: dict[str, Any] = {"name": "net", "title": "Net", "download": source}
    near = MedSam(adapter="medsam", weights="downloads/models/medsam/medsam_vit_b.pth", **facts)
    assert weights_folder(near) == "downloads/models/medsam"
    assert weights_path(near) == "downloads/models/medsam/medsam_vit_b.pth"
    assert weights_folder(MedSam(adapter="medsam", weights="/data/medsam_vit_b.pth", **facts)) is None
    assert weights_folder(MedSam(adapter="medsam", weights="downloads/models/x", name="net", title="Net")) is None
    assert weights_folder(UNet(adapter="unet", **facts)) is None
    folder = Sam(adapter="sam", weights="downloads/models/sam_b", sha256=SUM, **facts)
    assert weights_sums(folder) == {"downloads/models/sam_b/model.safetensors": SUM}
    assert weights_sums(near) == {}


def test_a_text_encoder_beside_the_weights_is_fetched_with_them() -> None:
    facts: dict[str, Any] = {"name": "u", "title": "U", "download": Download(url="https://example.org/u.pt")}
    weights = "downloads/models/u/u.pt"
    beside = UniMedClip(adapter="unimed_clip", weights=weights, text="downloads/models/u/text", sha256=SUM, **facts)
    assert weights_wanted(beside) == [weights, "downloads/models/u/text"]
    assert weights_sums(beside) == {weights: SUM}
    for own in ("/data/bert", "downloads/models/other/text"):
        assert weights_wanted(beside.model_copy(update={"text": own})) == [weights]
    robust = RobustMedClip(adapter="robust_medclip", weights="downloads/models/r.1", text="/b", sha256=SUM, **facts)
    assert weights_sums(robust) == {"downloads/models/r.1/model.pth": SUM}
    hub = OpenClip(adapter="open_clip", weights="downloads/models/b", sha256=SUM, **facts)
    assert (weights_wanted(hub), weights_sums(hub)) == (["downloads/models/b"], {})


def test_a_data_set_is_fetched_where_its_card_points_below_downloads() -> None:
    def card(images: str) -> SegmentationCard:
        return SegmentationCard.model_validate(
            {
                "name": "lesions",
                "title": "Lesions",
                "modality": "mri",
                "source": {"format": "folder", "images": images, "masks": images, "mask_suffix": "_m"},
                "split": {"unit": "image"},
                "licence": "own",
                "download": [{"by_hand": "Ask."}],
            }
        )

    assert dataset_folder(card(f"{FOLDER}/all")) == FOLDER
    assert dataset_folder(card("/data/lesions")) is None


@pytest.mark.parametrize("into", ["/etc", "../up", "a/../../b"])
def test_a_card_cannot_write_elsewhere(into: str) -> None:
    with pytest.raises(ValueError, match="must lie below the folder of the card"):
        Download(url="https://example.org/a.zip", unpack=True, into=into)
