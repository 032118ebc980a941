"""Times fixed-severity calls of the peers: runs in their environment, without medstress.

    python worker.py IMAGES.npy

Each line of the input is a JSON list of package, data set ("" for imagecorruptions), corruption and severity from 1;
each line of the output is a JSON object with the seconds of a call on each image, or with an `error`.
"""

import json
import sys
import time
import warnings
from types import ModuleType

import cv2
import numpy as np
import PIL.Image


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

        globals()["_operators"] = operators
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


def main() -> None:
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    images = list(np.load(sys.argv[1]))
    pictures = [PIL.Image.fromarray(image) for image in images]
    np.random.seed(0)
    generator = np.random.default_rng(0)
    loaded = {}
    for line in sys.stdin:
        package, variant, corruption, severity = json.loads(line)
        try:
            if package == "imagecorruptions":
                module = loaded.get(package) or loaded.setdefault(package, _imagecorruptions())
                calls = [lambda image=image: module.corrupt(image, severity, corruption) for image in images]
            else:
                table, missing = loaded.get(package) or loaded.setdefault(package, _medmnistc())
                if corruption == "motion_blur" and missing:
                    raise RuntimeError(missing)
                kind = table[variant][corruption]
                kind.rng = generator
                calls = [lambda image=image: kind.apply(image, severity - 1) for image in pictures]
            seconds = []
            for call in calls:
                start = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - start)
            answer = {"seconds": seconds}
        except Exception as error:  # whatever a peer raises becomes its answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
