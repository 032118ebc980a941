"""`medstress.corrupt`, the transform for pipelines, and what they refuse."""

import pickle
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch

import medstress
from medstress.errors import MedstressError
from medstress.perturb.ssim import StructuralSimilarity
from tests.conftest import embedded_image, in_colour

NUCLEI = embedded_image("nuclei")


@pytest.mark.parametrize("image", [NUCLEI, in_colour(NUCLEI)], ids=["grey", "colour"])
def test_the_level_is_a_band_of_similarity(image):
    for level, (low, high) in {1: (0.9, 0.98), 3: (0.7, 0.79), 5: (0.5, 0.59)}.items():
        made = medstress.corrupt(image, "speckle", level=level, seed=3)
        assert (made.shape, made.dtype) == (image.shape, np.uint8)
        assert low <= StructuralSimilarity(image)(made) <= high


def test_the_seed_decides():
    same = [medstress.corrupt(NUCLEI, "gaussian_noise", 2, seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])


def test_a_published_scale_can_be_named():
    made = medstress.corrupt(in_colour(NUCLEI), "contrast", 5, scale="imagenet_c")
    # A twentieth of the contrast about each channel's own mean.
    assert made.std(axis=(0, 1)) == pytest.approx(in_colour(NUCLEI).std(axis=(0, 1)) / 20, abs=0.4)
    with pytest.raises(MedstressError, match=r"say which of .*bloodmnist"):
        medstress.corrupt(NUCLEI, "jpeg", 1, scale="medmnist_c")


def test_the_list_knows_modalities():
    assert len(medstress.list_perturbations()) == 54
    ct = medstress.list_perturbations(modality="ct")
    assert {"ct_metal_streaks", "window_level", "gaussian_noise"} <= set(ct)
    assert not {"mri_motion", "oct_shadow"} & set(ct)
    assert len(medstress.list_perturbations(scale="imagenet_c")) == 19


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((40, 40, 4), np.uint8), "Drop the fourth channel"),
        (np.zeros((20, 40), np.uint8), "32 pixels or longer, got 40 x 20"),
        (np.zeros((40, 40), np.float32), "float32 needs a declared window"),
        (np.zeros((40, 40), np.uint16), "uint16 needs a declared window"),
        (np.full((40, 40), np.nan), "finite"),
        (np.zeros((3, 40, 40), np.uint8), "got shape"),
    ],
)
def test_bad_images_are_refused_with_what_to_do(image, message):
    with pytest.raises(MedstressError, match=message):
        medstress.corrupt(image, "gaussian_noise", 1)


def test_a_window_makes_eight_bits_of_anything():
    counts = NUCLEI.astype(np.float32) * 10 - 500
    made = medstress.corrupt(counts, "gaussian_blur", 2, window=(-500, 2050))
    assert np.array_equal(made, medstress.corrupt(NUCLEI, "gaussian_blur", 2))
    with pytest.raises(MedstressError, match="must be below"):
        medstress.corrupt(counts, "gaussian_blur", 2, window=(3, 3))


def test_wrong_names_and_modalities_are_said():
    with pytest.raises(MedstressError, match="did you mean ct_metal_streaks"):
        medstress.corrupt(NUCLEI, "ct_metal_streak", 1)
    with pytest.raises(MedstressError, match="mri_motion is for mri, and the image holds ct"):
        medstress.corrupt(NUCLEI, "mri_motion", 1, modality="ct")
    assert medstress.corrupt(NUCLEI, "mri_motion", 1, modality="ct", force=True).shape == NUCLEI.shape
    with pytest.raises(MedstressError, match="levels 1 to 5 on the scale ssim, not 6"):
        medstress.corrupt(NUCLEI, "jpeg", 6)
    with pytest.raises(MedstressError, match=r"levels 1 to 5 on the scale ssim, not 1\.5"):
        medstress.corrupt(NUCLEI, "jpeg", 1.5)  # type: ignore[arg-type]
    with pytest.raises(MedstressError, match="unknown modality 'MRI'"):
        medstress.corrupt(NUCLEI, "jpeg", 1, modality="MRI")  # type: ignore[arg-type]
    with pytest.raises(MedstressError, match="unknown modality 'xrays'; did you mean xray"):
        medstress.list_perturbations(modality="xrays")  # type: ignore[arg-type]
    with pytest.raises(MedstressError, match="unknown scale 'imagenet-c'; did you mean imagenet_c"):
        medstress.corrupt(NUCLEI, "jpeg", 1, scale="imagenet-c")  # type: ignore[arg-type]
    with pytest.raises(MedstressError, match="imagenet_c is the same for all data sets"):
        medstress.corrupt(NUCLEI, "jpeg", 1, scale="imagenet_c", variant="bloodmnist")
    with pytest.raises(MedstressError, match="expected a NumPy array, got Image"):
        medstress.corrupt(PIL.Image.fromarray(NUCLEI), "jpeg", 1)  # type: ignore[arg-type]


def test_what_cannot_be_reached_is_warned_of():
    with pytest.warns(UserWarning, match=r"cannot bring this image to level 5; the closest SSIM is 1\.000"):
        medstress.corrupt(np.full((40, 40), 99, np.uint8), "gaussian_blur", 5)


@pytest.mark.parametrize("image", [NUCLEI, in_colour(NUCLEI)], ids=["grey", "colour"])
def test_a_pipeline_may_hold_arrays_pictures_or_tensors(image):
    transform = medstress.Corrupt(["jpeg", "speckle", "rotation"], levels=[2, 4], seed=1)
    array = transform(image)
    assert np.array_equal(np.asarray(transform(PIL.Image.fromarray(image))), array)
    planes = torch.from_numpy(image[None] if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1)))
    whole = transform(planes)
    assert whole.dtype == torch.uint8
    assert np.array_equal(whole.numpy().transpose(1, 2, 0).squeeze(), array)
    shares = transform(planes.float() / 255)
    assert shares.dtype == torch.float32
    assert torch.equal((shares * 255).round().byte(), whole)
    assert np.array_equal(pickle.loads(pickle.dumps(transform))(image), array)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (PIL.Image.fromarray(NUCLEI).convert("P"), "mode L or RGB, got P"),
        (PIL.Image.fromarray(in_colour(NUCLEI)).convert("YCbCr"), "mode L or RGB, got YCbCr"),
        (torch.zeros(64, 64), "got \\(64, 64\\)"),
        (torch.zeros(1, 64, 64, dtype=torch.int64), "got torch.int64"),
        (torch.full((1, 64, 64), torch.nan), "finite floats"),
    ],
)
def test_a_pipeline_refuses_what_it_would_misread(image, message):
    with pytest.raises(MedstressError, match=message):
        medstress.Corrupt(["jpeg"])(image)


def test_a_pipeline_takes_tensors_of_any_precision():
    image = torch.from_numpy(NUCLEI[None]).float() / 255
    made = medstress.Corrupt(["jpeg"], levels=[3])(image.bfloat16().requires_grad_())
    assert made.dtype == torch.bfloat16
    assert made.shape == image.shape


def test_a_pipeline_draws_for_each_image_and_not_for_each_call():
    transform = medstress.Corrupt(medstress.list_perturbations(modality="microscopy")[:9], seed=1)
    first, second = embedded_image("nuclei", 1), embedded_image("nuclei", 2)
    together = [transform(first), transform(second)]
    assert np.array_equal(transform(second), together[1])
    assert np.array_equal(transform(first), together[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": "jpeg"}, "a list of at least one name"),
        ({"names": []}, "a list of at least one name"),
        ({"names": ["jpg"]}, "has no perturbation 'jpg'; did you mean jpeg"),
        ({"names": ["jpeg"], "levels": [6]}, "levels 1 to 5, not 6"),
        ({"names": ["oct_shadow"], "modality": "ct"}, "oct_shadow is for oct"),
    ],
)
def test_a_pipeline_is_checked_when_it_is_built(arguments, message):
    with pytest.raises(MedstressError, match=message):
        medstress.Corrupt(**arguments)


def test_importing_medstress_is_light_and_never_brings_torch():
    code = (
        "import sys, medstress; assert 'cv2' not in sys.modules; medstress.corrupt; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
