"""An error of a library is one line: its message without the parts that only its authors can read."""

import errno
import os

import pytest
from torch._utils import ExceptionWrapper

from mandseg.system.errors import LONGEST_REASON, disk_error_behind, one_line, reason


def test_the_reason_of_a_loaders_process_is_its_last_sentence():
    try:
        try:
            raise KeyError("the cause")
        except KeyError as cause:
            raise RuntimeError("unable to write to file </torch_1>: No space left on device (28)") from cause
    except RuntimeError:
        wrapper = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(RuntimeError) as error:
        wrapper.reraise()
    assert len(str(error.value).splitlines()) > 5
    assert reason(error.value) == "RuntimeError: unable to write to file </torch_1>: No space left on device (28)"


def test_a_message_of_several_lines_is_kept_whole():
    assert one_line(ValueError("first.\n  second:\n\nthird")) == "first; second; third"


def test_an_error_without_words_has_its_name():
    assert one_line(ValueError()) == "ValueError"
    assert reason(RuntimeError("frame #0: c10::Error::Error")) == "RuntimeError"


def test_advice_of_torch_is_left_out():
    printed = "CUDA error: out of memory\nCUDA kernel errors might be asynchronous\nCompile with `TORCH_USE_CUDA_DSA`"
    assert reason(RuntimeError(printed)) == "CUDA error: out of memory"


def test_a_long_reason_is_cut_between_words():
    printed = reason(RuntimeError("word " * 1000))
    assert len(printed) <= LONGEST_REASON + 4
    assert printed.endswith("word ...")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_the_error_of_a_disk_is_found_behind_that_of_a_library(code):
    disk = OSError(code, os.strerror(code), "last.ckpt")
    error = RuntimeError("[enforce fail at inline_container.cc:664]")
    error.__context__ = disk  # as torch raises it
    assert disk_error_behind(error) is disk


def test_an_error_about_a_file_is_no_error_of_a_disk():
    assert disk_error_behind(FileNotFoundError(errno.ENOENT, "No such file", "a")) is None
    assert disk_error_behind(None) is None
