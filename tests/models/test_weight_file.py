"""Damaged files of weights: one message, whatever the unpickler stumbles over."""

import pickle

import pytest

from medstress.errors import MedstressError
from medstress.models.weight_file import read_tensors


@pytest.mark.parametrize(
    "content",
    [b"", b".", b"\x80\x02e.", b"<html>not found</html>", b"PK\x03\x04" + b"0" * 40, pickle.dumps({"a": print}, 2)],
    ids=["empty", "stop alone", "append to nothing", "a web page", "no archive", "code"],
)
def test_what_is_no_file_of_tensors_is_refused(tmp_path, content):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(MedstressError, match=r"^card x: net\.pth is not a readable file of tensors \("):
        read_tensors(path, "card x")
