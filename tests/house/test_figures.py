"""What full tests measured becomes rows of ARCHITECTURE's table."""

from __future__ import annotations

from tests.support.figures import FILE, block, tell


def test_figures_are_printed_and_become_rows(tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "figures"
    monkeypatch.setenv(FILE, str(file))
    tell("200 kills", events=12_345, recovery_p50_s=1.2345, seed="7")
    tell("frozen for 2 s", lost=0)

    assert capsys.readouterr().out == (
        "200 kills: events 12,345, recovery p50 s 1.23, seed 7\nfrozen for 2 s: lost 0\n"
    )
    assert block(file.read_text().splitlines(), "2026-11-23", "abc1234") == (
        "| 2026-11-23 | abc1234 | 200 kills: events 12,345, recovery p50 s 1.23, seed 7 |\n"
        "| 2026-11-23 | abc1234 | frozen for 2 s: lost 0 |"
    )
