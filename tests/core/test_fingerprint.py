"""Code that changes what comes out changes the fingerprint; comments and docstrings do not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import medstress
from medstress.fingerprint import modules_behind

PACKAGE = Path(medstress.__file__).parent
ENTRY = "medstress.perturb.build"


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "medstress", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def fingerprint_in(folder, *entries):
    code = f"from medstress.fingerprint import fingerprint; print(fingerprint(*{list(entries)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_follows_imports_and_only_them():
    behind = modules_behind(ENTRY)
    assert {"medstress.perturb.ssim", "medstress.perturb.calibrate", "medstress.records"} <= set(behind)
    assert not {"medstress.perturb.blur", "medstress.models.predict", "medstress.config"} & set(behind)


def test_comments_and_docstrings_do_not_count_but_code_does(copy):
    before = fingerprint_in(copy, ENTRY)
    ssim = copy / "medstress" / "perturb" / "ssim.py"
    edit(ssim, '"""Structural similarity against one clean image, many times.', '"""Something else.')
    ssim.write_text("# a comment\n\n\n" + ssim.read_text())
    assert fingerprint_in(copy, ENTRY) == before
    edit(ssim, "_WINDOW = 7", "_WINDOW = 9")
    assert fingerprint_in(copy, ENTRY) != before


def test_a_change_in_one_type_leaves_the_others_alone(copy):
    noise, blur = "medstress.perturb.noise", "medstress.perturb.blur"
    before = fingerprint_in(copy, ENTRY, noise), fingerprint_in(copy, ENTRY, blur)
    edit(copy / "medstress" / "perturb" / "blur.py", "(4 * half)", "(5 * half)")
    after = fingerprint_in(copy, ENTRY, noise), fingerprint_in(copy, ENTRY, blur)
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
