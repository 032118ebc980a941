"""Fixed severities beside imagecorruptions and medmnistc, as tables of milliseconds a call and their ratio.

    python -m benchmarks.peers

Both sides get the same images, 224x224 RGB, one thread each, in turns, so that a machine that slows down slows both.
Processor time is counted, which other work on the machine changes little. A call draws anew: ours is `realise` and
`render` together.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import cv2
import numpy as np

from benchmarks.peers.environment import NoPeersError, peer_python
from medstress.perturb.catalogue import types_of
from medstress.perturb.protocol import Scene
from medstress.perturb.scales.protocol import Published
from medstress.perturb.scales.registry import SCALES
from medstress.pixels import Image
from medstress.seeds import generator
from medstress.specs import SeveritySpec
from tests.conftest import images_of

ROUNDS = 3
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Ask = Callable[[str, str, str, int], list[float]]


class _PeerError(Exception):
    pass


@dataclass(frozen=True)
class _Timing:
    """Processor seconds a call, theirs and ours: the mean over severities and images of the fastest of the rounds."""

    theirs: float
    ours: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours

    def line(self, name: str) -> str:
        return f"{name:22}{1e3 * self.theirs:10.2f}{1e3 * self.ours:10.2f}{self.ratio:9.1f}"


def _print_total(name: str, timings: list[_Timing]) -> None:
    if timings:
        print(_Timing(sum(item.theirs for item in timings), sum(item.ours for item in timings)).line(name), flush=True)


def pictures() -> list[Image]:
    """One colour image of two modalities at 224x224."""
    found = [images_of("fundus")["fundus_1"], images_of("pathology")["pathology_1"]]
    return [cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA) for image in found]


def _time_ours(kind: Published, severity: int, images: list[Image], seed: int) -> list[float]:
    seconds = []
    for image in images:
        start = time.process_time()
        kind.realise(Scene(image), generator(seed), False).render(kind.severities[severity - 1])
        seconds.append(time.process_time() - start)
    return seconds


def _compare(ask: Ask, package: str, variant: str, kind: Published, images: list[Image]) -> _Timing:
    """Raises _PeerError where the peer cannot run this type."""
    severities = range(1, len(kind.severities) + 1)
    ask(package, variant, kind.original, 1)
    _time_ours(kind, 1, images, 0)
    theirs, ours = [], []
    for severity in severities:
        turns = [
            (ask(package, variant, kind.original, severity), _time_ours(kind, severity, images, turn))
            for turn in range(ROUNDS)
        ]
        theirs += map(min, zip(*(peer for peer, _ in turns), strict=True))
        ours += map(min, zip(*(own for _, own in turns), strict=True))
    return _Timing(mean(theirs), mean(ours))


def _header(title: str) -> str:
    return f"\n{title}\n{'':22}{'theirs, ms':>10}{'ours, ms':>10}{'ratio':>9}"


def _imagecorruptions(ask: Ask, images: list[Image]) -> None:
    print(_header("imagecorruptions"))
    of_type: dict[str, _Timing] = {}
    for name, kind in types_of(SeveritySpec(scale="imagecorruptions")).items():
        assert isinstance(kind, Published)
        try:
            of_type[name] = _compare(ask, "imagecorruptions", "", kind, images)
        except _PeerError as error:
            print(f"{name:22}left out: {error}")
            continue
        print(of_type[name].line(name), flush=True)
    _print_total(f"total of {len(of_type)}", list(of_type.values()))
    # Their glass blur is a loop in Python that outweighs all the rest.
    _print_total("without glass_blur", [timing for name, timing in of_type.items() if name != "glass_blur"])


def _medmnistc(ask: Ask, images: list[Image]) -> None:
    print(_header("medmnistc (each type: the mean over its data sets)"))
    of_type: dict[str, list[_Timing]] = {}
    left_out: dict[str, str] = {}
    for variant in SCALES["medmnist_c"].variants:
        for name, kind in types_of(SeveritySpec(scale="medmnist_c", variant=variant)).items():
            assert isinstance(kind, Published)
            try:
                timing = _compare(ask, "medmnistc", variant, kind, images)
            except _PeerError as error:
                left_out[name] = str(error)
            else:
                of_type.setdefault(name, []).append(timing)
    means = {
        name: _Timing(mean(item.theirs for item in items), mean(item.ours for item in items))
        for name, items in of_type.items()
    }
    for name, timing in means.items():
        print(timing.line(name))
    for name, reason in left_out.items():
        print(f"{name:22}left out: {reason}")
    _print_total(f"total of {len(means)}", list(means.values()))
    pairs = [item for items in of_type.values() for item in items]
    _print_total(f"total of {len(pairs)} pairs", pairs)


def main() -> None:
    """Print both tables, or why there are none."""
    cv2.setNumThreads(1)
    images = pictures()
    try:
        python = peer_python()
    except NoPeersError as error:
        print(f"\nimagecorruptions and medmnistc are not available: {error}")
        return
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "images.npy"
        np.save(stored, np.stack(images))
        command = [python, Path(__file__).with_name("worker.py"), stored]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD
        ) as peer:
            assert peer.stdin
            assert peer.stdout
            to_peer, from_peer = peer.stdin, peer.stdout

            def ask(package: str, variant: str, corruption: str, severity: int) -> list[float]:
                to_peer.write(json.dumps([package, variant, corruption, severity]) + "\n")
                to_peer.flush()
                answer = json.loads(from_peer.readline() or '{"error": "the process of the peers has ended"}')
                if "error" in answer:
                    raise _PeerError(answer["error"])
                return list(answer["seconds"])

            _imagecorruptions(ask, images)
            _medmnistc(ask, images)
            to_peer.close()


if __name__ == "__main__":
    main()
