"""These tests need the extras `clip` and `sam`; `make test-extras` runs them in an environment that has them."""

from importlib.util import find_spec

import torch

from medstress.models.torchvision_bridge import make_torchvision_importable

collect_ignore_glob = [] if find_spec("segment_anything") and find_spec("open_clip") else ["test_*.py"]
make_torchvision_importable()

torch.set_num_threads(1)
