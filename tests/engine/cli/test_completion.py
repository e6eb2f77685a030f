from __future__ import annotations

import shutil
import subprocess

import pytest

SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_knows_every_command_and_the_shell_reads_it(headrace, shell):
    said = headrace("completion", shell)

    assert (said.code, said.err) == (0, "")
    for command in ("run", "explain", "violations", "--state"):
        assert command in said.out
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here: its script was not read by it")
    read = subprocess.run([shell, "-n"], input=said.out, text=True, capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
