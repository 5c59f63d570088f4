"""Progress where there is no terminal: few lines, each kind of work on its own."""

import pytest

from polylore.cli import progress as module
from polylore.cli.progress import progress_display


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_two_kinds_of_work_do_not_interrupt_each_other(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_display() as show:
        for done in range(5):
            show(done, 4, "asking")
            show(10 * done, 40, "fetching (MB)")
            clock[0] += 4
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "asking: 0/4, 0 s",
        "fetching (MB): 0/40, 0 s",
        "asking: 3/4, 12 s, about 4 s left",
        "fetching (MB): 30/40, 12 s, about 4 s left",
        "asking: 4/4, 16 s",
        "fetching (MB): 40/40, 16 s",
    ]


def test_the_next_checkpoint_starts_anew(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_display() as show:
        show(40, 40, "fetching (MB)")
        show(1, 40, "fetching (MB)")
        clock[0] += 3
        show(40, 40, "fetching (MB)")
        show(40, 40, "fetching (MB)")
    assert len(capsys.readouterr().err.splitlines()) == 3
