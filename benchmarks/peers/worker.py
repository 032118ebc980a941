"""Times fixed-severity calls of the peers: runs in their environment, without medstress.

    python worker.py IMAGES.npy

Each line of the input is a JSON list of package, data set ("" for imagecorruptions), corruption and severity from 1;
each line of the output is a JSON object with the processor seconds of a call on each image, or with an `error`.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from types import ModuleType

import cv2
import numpy as np
import PIL.Image

# Operators that torch forgets with the object that defined them.
_KEPT: list[object] = []


def _imagecorruptions():
    import imagecorruptions
    from imagecorruptions import corruptions
    from skimage.filters import gaussian

    def renamed(image, sigma, multichannel=False, **options):
        return gaussian(image, sigma=sigma, channel_axis=-1 if multichannel else None, **options)

    # scikit-image has renamed an argument since; the work is the same.
    corruptions.gaussian = renamed
    return imagecorruptions


def _torchvision() -> None:
    import torch

    try:
        import torchvision
    except RuntimeError:
        # A torchvision made for another build of torch finds no operators for boxes. No corruption uses them.
        operators = torch.library.Library("torchvision", "DEF")
        operators.define("nms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        operators.define("qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        import torchvision  # noqa: F401

        _KEPT.append(operators)
    torch.set_num_threads(1)


def _wand() -> str | None:
    """Why motion blur cannot run; None where it can."""
    try:
        import wand.api
        import wand.image  # noqa: F401
    except ImportError:
        for name in [name for name in sys.modules if name.startswith("wand")]:
            del sys.modules[name]
        api, image = ModuleType("wand.api"), ModuleType("wand.image")
        api.library, image.Image = None, object
        sys.modules |= {"wand": ModuleType("wand"), "wand.api": api, "wand.image": image}
        return "ImageMagick is not installed"
    return None


def _medmnistc():
    _torchvision()
    missing = _wand()
    from medmnistc.corruptions import registry

    return registry.CORRUPTIONS_DS, missing


def _imagecorruptions_calls(images: list[np.ndarray]) -> Callable[[str, str, int], list[Callable[[], object]]]:
    package = _imagecorruptions()
    return lambda _, corruption, severity: [partial(package.corrupt, image, severity, corruption) for image in images]


def _medmnistc_calls(images: list[np.ndarray]) -> Callable[[str, str, int], list[Callable[[], object]]]:
    kinds, missing = _medmnistc()
    pictures = [PIL.Image.fromarray(image) for image in images]
    generator = np.random.default_rng(0)

    def calls(variant: str, corruption: str, severity: int) -> list[Callable[[], object]]:
        if corruption == "motion_blur" and missing:
            raise RuntimeError(missing)
        kind = kinds[variant][corruption]
        kind.rng = generator
        return [partial(kind.apply, picture, severity - 1) for picture in pictures]

    return calls


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    images = list(np.load(sys.argv[1]))
    loaders = {
        "imagecorruptions": cache(partial(_imagecorruptions_calls, images)),
        "medmnistc": cache(partial(_medmnistc_calls, images)),
    }
    for line in sys.stdin:
        package, *corruption = json.loads(line)
        try:
            answer = {"seconds": [_seconds(call) for call in loaders[package]()(*corruption)]}
        except Exception as error:  # whatever a peer raises becomes its answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
