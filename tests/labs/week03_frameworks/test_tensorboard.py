"""What TensorBoard is told, also of a run that was stopped and goes on."""

from __future__ import annotations

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from labs_core.track.lightning import JournalLogger
from labs_core.track.tracker import Tracker


class StoppedError(Exception):
    """The run ends here."""


def shown(folder) -> EventAccumulator:
    """What TensorBoard shows of the run."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"histograms": 0})
    events.Reload()
    return events


def losses(folder) -> list[tuple[int, float]]:
    """(step, value) of each training loss."""
    return [(event.step, event.value) for event in shown(folder).Scalars("train/loss")]


def weights_at(folder) -> list[int]:
    """The steps at which the weights' distribution is shown."""
    return [event.step for event in shown(folder).Histograms("weights/head.weight")]


def test_a_resumed_run_has_each_epoch_once(data, make_module, make_trainer, tmp_path):
    def trainer(folder):
        nobody = Tracker(folder, None, "", "", enabled=False)
        return make_trainer(4, logger=JournalLogger(nobody))

    straight = make_module(data)
    trainer(tmp_path / "straight").fit(straight, datamodule=data)

    stopped, first = make_module(data), trainer(tmp_path / "stopped")

    def save_and_stop() -> None:
        if first.current_epoch == 1:
            first.save_checkpoint(tmp_path / "last.ckpt")
        if first.current_epoch == 3:
            raise StoppedError  # one epoch beyond the checkpoint was logged

    stopped.on_train_epoch_end = save_and_stop
    with pytest.raises(StoppedError):
        first.fit(stopped, datamodule=data)
    for logger in first.loggers[1:]:
        logger.experiment.close()
    assert len(losses(tmp_path / "stopped")) == 3

    torch.manual_seed(99)
    resumed = make_module(data)
    trainer(tmp_path / "stopped").fit(resumed, datamodule=data, ckpt_path=tmp_path / "last.ckpt")
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")
    assert [step for step, _ in losses(tmp_path / "straight")] == [2, 5, 8, 11]
    assert weights_at(tmp_path / "stopped") == weights_at(tmp_path / "straight") == [2, 5, 8, 11]


def test_a_trainer_without_a_logger_needs_no_event_files(data, make_module, make_trainer):
    trainer = make_trainer(1)
    trainer.fit(make_module(data), datamodule=data)
    assert trainer.loggers == []
