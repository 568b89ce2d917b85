"""Module 07: training. To read, in this order: `schedule` (learning rates, metrics, when to stop), `position` (how far
a run is, so that an interruption can be taken back), `steps` (one batch: forward, backward, update, as steps that
compile), `checkpoint` (the files of a run), `run` (the state of a run, saved and taken back), `progress` (what is shown
meanwhile), `trainer` (the loop over epochs).
"""

from __future__ import annotations

from tinytorch.frontend.module.parameter_functions import clip_grad_norm
from tinytorch.frontend.training.schedule import CosineSchedule, EarlyStopping, Metrics, Schedule
from tinytorch.frontend.training.steps import binary_hits, class_hits
from tinytorch.frontend.training.trainer import Trainer

__all__ = [
    "CosineSchedule",
    "EarlyStopping",
    "Metrics",
    "Schedule",
    "Trainer",
    "binary_hits",
    "class_hits",
    "clip_grad_norm",
]
