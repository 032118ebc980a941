"""These tests need the extra `sam`; `make test-sam` runs them in an environment that has it."""

from importlib.util import find_spec

import torch

from medstress.models.torchvision_bridge import make_torchvision_importable

collect_ignore_glob = [] if find_spec("segment_anything") else ["test_*.py"]
make_torchvision_importable()

torch.set_num_threads(1)
