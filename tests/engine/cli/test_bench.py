from __future__ import annotations

from engine.cli.bench import run_bench


def test_without_a_checkout_it_says_so_and_exits_2(tmp_path, capsys):
    assert run_bench(tmp_path, ("pipeline",)) == 2
    assert capsys.readouterr().err == (
        "headrace bench runs in a checkout of the project: the installed package has no benches\n"
    )


def test_in_a_checkout_it_runs_the_benches_there_and_passes_on_their_exit_code(tmp_path, capfd):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__main__.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(3)\n")

    assert run_bench(tmp_path, ("pipeline", "--rate", "1000")) == 3
    assert capfd.readouterr().out == "['pipeline', '--rate', '1000']\n"
