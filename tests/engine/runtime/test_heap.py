from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, os, threading
from engine.runtime import heap

if {shared}:
    heap.share_one()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
done, full = threading.Event(), threading.Barrier(5)


def fill():
    kept = [os.urandom(2000) for _ in range(100)]
    full.wait()
    done.wait()


for _ in range(4):
    threading.Thread(target=fill).start()
full.wait()
opened = libc.fopen({path!r}.encode(), b"w")
libc.malloc_info(0, opened)
libc.fclose(opened)
done.set()
"""


@pytest.mark.parametrize(("shared", "heaps"), [(True, 1), (False, 5)])
def test_threads_share_one_heap(tmp_path, *, shared: bool, heaps: int) -> None:
    path = tmp_path / "heaps.xml"
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(shared=shared, path=str(path))], check=False)
    if done.returncode or not path.exists():
        pytest.skip("this C library says nothing of its heaps")

    assert path.read_text().count("<heap nr=") == heaps
