"""Training, checkpoints, evaluation and prediction for segmentation."""

from minidl.train.checkpoint import Checkpoint
from minidl.train.config import TrainConfig
from minidl.train.inference import Evaluation, Run, evaluate_samples, load_run, probabilities
from minidl.train.trainer import Reporter, Trainer

__all__ = [
    "Checkpoint",
    "Evaluation",
    "Reporter",
    "Run",
    "TrainConfig",
    "Trainer",
    "evaluate_samples",
    "load_run",
    "probabilities",
]
