"""Every format gives the pixels that were put in."""

import zlib
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1

from medstress.cards.images import Window
from medstress.datasets.candidate import BadSampleError
from medstress.datasets.formats import extension_of, grid_of, is_picture, read_picture, stem_of
from medstress.datasets.picture import to_display, to_raw
from tests.datasets.conftest import picture, save


def write_dicom(path: Path, values: np.ndarray, **tags: object) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 1 if values.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = values.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.npy", "a.tif", "a.tiff", "a.dcm", "a"])
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
def test_8_bit_pixels_come_back_as_they_were(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    values, path = picture(shape=shape), tmp_path / name
    if path.suffix.startswith(".tif"):
        tifffile.imwrite(path, values)
    elif path.suffix in (".dcm", ""):
        write_dicom(path, values)
    else:
        save(path, values)
    assert is_picture(path)
    read = read_picture(path)
    assert read.fidelity == "exact"
    np.testing.assert_array_equal(read.values, values)
    np.testing.assert_array_equal(to_display(read, None), values)


def test_a_jpeg_keeps_its_pixels_and_says_that_it_is_lossy(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(picture(), (15, 15), 4)
    read = read_picture(save(tmp_path / "a.jpg", smooth))
    assert read.fidelity == "lossy"
    assert np.abs(read.values.astype(int) - smooth).max() < 12


@pytest.mark.parametrize("compression", [cv2.IMWRITE_TIFF_COMPRESSION_LZW, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE])
def test_compressed_tiffs_are_read(tmp_path: Path, compression: int) -> None:
    values, path = picture(shape=(40, 50, 3)), tmp_path / "a.tif"
    cv2.imwrite(str(path), np.ascontiguousarray(values[..., ::-1]), [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    np.testing.assert_array_equal(read_picture(path).values, values)


def test_a_white_is_zero_tiff_is_shown_the_right_way_round(tmp_path: Path) -> None:
    values = picture()
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    np.testing.assert_array_equal(to_display(read_picture(tmp_path / "a.tif"), None), 255 - values)


def test_ct_numbers_come_from_slope_and_intercept_and_the_window_from_card_or_file(tmp_path: Path) -> None:
    stored = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    tags = {
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "Modality": "CT",
        "WindowCenter": [40, 500],
        "WindowWidth": [400, 1500],
    }
    read = read_picture(write_dicom(tmp_path / "a.dcm", stored, **tags))
    hu = stored.astype(int) - 1024
    np.testing.assert_array_equal(read.values, hu)
    assert read.unit == "HU"
    # PS3.3 C.11.2.1.2: with centre 40 and width 400, -160 is black and 239 is white.
    shown = to_display(read, None)
    assert shown is not None
    assert shown[hu <= -160].max() == 0
    assert shown[hu == -158].min() > 0
    assert shown[hu == 237].max() < 255
    assert shown[hu >= 239].min() == 255
    card = to_display(read, Window(low=-1350, high=150))
    assert card is not None
    assert card[hu == -600].item() in (127, 128)


def test_monochrome1_is_turned_around_after_the_window(tmp_path: Path) -> None:
    stored = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    path = write_dicom(tmp_path / "a.dcm", stored, PhotometricInterpretation="MONOCHROME1")
    shown = to_display(read_picture(path), Window(low=0, high=1999))
    assert shown is not None
    assert shown[0, 0] == 255
    assert shown[-1, -1] == 0


def test_a_nifti_volume_is_sliced_nose_up_with_the_right_side_at_the_left(tmp_path: Path) -> None:
    # Axes stored as back, head, right, each with another length; the marked voxel is right, front, third from below.
    volume = np.zeros((10, 12, 14), np.int16)
    volume[0, 2, 13] = 7
    affine = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume, affine), path)
    grid = grid_of(path)
    assert grid is not None
    assert grid.shape == (14, 10, 12)
    # The first voxel of the first slice as shown is the one at the right, in front, at the feet.
    np.testing.assert_allclose(grid.affine, [[-1, 0, 0, 13], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    for layer in range(12):
        values = read_picture(path, layer).values
        assert values.shape == (10, 14)
        assert (values[0, 0] == 7) == (layer == 2)
        assert np.count_nonzero(values) == (layer == 2)


def test_names_lose_their_whole_extension() -> None:
    assert stem_of(Path("x/scan.nii.gz")) == "scan"
    assert extension_of(Path("scan.NII.GZ")) == ".NII.GZ"
    assert stem_of(Path("ISIC_0001.jpeg")) == "ISIC_0001"
    assert stem_of(Path("1.2.840.113")) == "1.2.840.113"


def test_files_of_other_kinds_are_no_pictures(tmp_path: Path) -> None:
    for name in ("notes.txt", ".hidden.png", "DICOMDIR", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM" if name == "DICOMDIR" else b"x")
        assert not is_picture(tmp_path / name)


def with_alpha(alpha: int) -> np.ndarray:
    return np.dstack([picture(shape=(40, 50, 3)), np.full((40, 50), alpha, np.uint8)])


def test_an_opaque_alpha_channel_is_dropped(tmp_path: Path) -> None:
    values = with_alpha(255)
    np.testing.assert_array_equal(read_picture(save(tmp_path / "a.png", values)).values, values[..., :3])


def png_with_palette(path: Path) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = (16).to_bytes(4, "big") * 2 + bytes([8, 3, 0, 0, 0])
    rows = b"".join(b"\0" + bytes([row % 2] * 16) for row in range(16))
    parts = [
        (b"IHDR", header),
        (b"PLTE", bytes([0, 0, 0, 200, 10, 10])),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts))
    return path


def test_a_palette_becomes_colour_and_is_not_taken_for_labels(tmp_path: Path) -> None:
    read = read_picture(png_with_palette(tmp_path / "a.png"))
    assert read.fidelity == "mapped"
    assert read.values[1, 0].tolist() == [200, 10, 10]


def damaged(tmp_path: Path, kind: str) -> Path:
    png = save(tmp_path / "good.png", picture()).read_bytes()
    jpeg = save(tmp_path / "good.jpg", picture()).read_bytes()
    tifffile.imwrite(tmp_path / "good.tif", picture())
    tiff = (tmp_path / "good.tif").read_bytes()
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 255
    nifti = tmp_path / "good.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 3), np.int16), np.eye(4)), nifti)
    dicom = write_dicom(tmp_path / "good.dcm", picture()).read_bytes()
    content = {
        "empty.png": b"",
        "short.png": png[: len(png) // 2],
        "flipped.png": bytes(flipped),
        "text.png": b"not a picture",
        "short.jpg": jpeg[: len(jpeg) // 2],
        "short.tif": tiff[: len(tiff) // 2],
        "short.nii": nifti.read_bytes()[:400],
        "short.dcm": dicom[: len(dicom) - 500],
        "text.dcm": b"not a picture",
        "text.npy": b"not a picture",
    }
    path = tmp_path / kind
    path.write_bytes(content[kind])
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "empty.png",
        "short.png",
        "flipped.png",
        "text.png",
        "short.jpg",
        "short.tif",
        "short.nii",
        "short.dcm",
        "text.dcm",
        "text.npy",
    ],
)
def test_a_damaged_file_is_named_and_never_half_read(tmp_path: Path, kind: str) -> None:
    path = damaged(tmp_path, kind)
    with pytest.raises(BadSampleError, match="unreadable") as caught:
        read_picture(path, 0)
    assert caught.value.reject.file == str(path)


def test_what_cannot_be_one_picture_is_refused_with_the_reason(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 40, 50), np.uint8), photometric="minisblack")
    np.save(tmp_path / "stack.npy", np.zeros((4, 40, 50)))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    write_dicom(tmp_path / "cine.dcm", picture(), NumberOfFrames=2)
    save(tmp_path / "glass.png", with_alpha(100))
    tifffile.imwrite(tmp_path / "spectral.tif", picture(shape=(40, 50, 5)), photometric="minisblack", planarconfig=1)
    table = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "palette.tif", picture(), photometric="palette", colormap=table)
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 3, 2), np.int16), np.eye(4)), tmp_path / "time.nii")
    reasons = {
        "stack.tif": "4 pages",
        "stack.npy": r"shape \(4, 40, 50\)",
        "objects.npy": "unreadable",
        "cine.dcm": "2 frames",
        "glass.png": "4 channels, with transparent pixels in the last. Save it as grey or RGB",
        "spectral.tif": "5 channels. Save it as grey or RGB, .* no key of the card",
        "palette.tif": "palette TIFF. Save it as grey or RGB",
        "time.nii": r"shape \(9, 9, 3, 2\)",
        "absent.png": "no such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(BadSampleError, match=reason):
            read_picture(tmp_path / name)


@pytest.mark.parametrize(
    "values", [np.array([[-1024, 3071], [0, 5]], np.int16), np.array([[-1000.0, 2000.0], [0.0, 1.0]])]
)
def test_whole_intensities_are_kept_exactly_in_16_bits(values: np.ndarray) -> None:
    raw = to_raw(values, 1.0, 0.0, "HU")
    assert raw.values.dtype == np.uint16
    np.testing.assert_array_equal(raw.values * raw.slope + raw.intercept, values)


def test_fractional_intensities_are_kept_within_one_step() -> None:
    values = np.random.default_rng(0).normal(size=(20, 20))
    raw = to_raw(values, 2.0, 1.0, None)
    assert np.abs(raw.values * raw.slope + raw.intercept - (values * 2 + 1)).max() <= raw.slope / 2 + 1e-9


def test_a_compressed_dicom_without_its_decoder_says_what_to_install(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", picture())
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([dataset.PixelData])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    if get_decoder(JPEGLosslessSV1).is_available:
        pytest.skip("a decoder for lossless JPEG is installed here")
    with pytest.raises(BadSampleError, match=r"JPEG Lossless.*Install pylibjpeg"):
        read_picture(path)
