"""torchvision beside a PyTorch for CPUs: everything that looks for it can be imported."""

import subprocess
import sys


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_loading_a_model_makes_everything_importable_that_looks_for_torchvision():
    done = run(
        "from medstress.cards.segmenter import Sam\n"
        "from medstress.errors import MedstressError\n"
        "from medstress.models.registry import load_segmenter\n"
        "try: load_segmenter(Sam(name='a', title='A', adapter='sam', weights='nowhere'))\n"
        "except MedstressError as error: assert 'nowhere' in str(error)\n"
        "from transformers import SamModel\n"
        "import peft, segment_anything, torchvision\n"
        "print(torchvision.__version__)\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0.28.0")


def test_a_torchvision_that_is_there_already_is_left_alone():
    done = run(
        "import sys, types\n"
        "sys.modules['torchvision'] = native = types.ModuleType('torchvision')\n"
        "from medstress.models.torchvision_bridge import make_torchvision_importable\n"
        "make_torchvision_importable()\n"
        "assert sys.modules['torchvision'] is native and 'torch' not in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr
