"""Training, checkpoints, evaluation and prediction for segmentation."""

from minidl.train.checkpoint import Checkpoint
from minidl.train.config import TrainConfig
from minidl.train.inference import Evaluation, Run, evaluate_samples, load_run, predict_image, probabilities
from minidl.train.reporting import Reporter
from minidl.train.trainer import Trainer

__all__ = [
    "Checkpoint",
    "Evaluation",
    "Reporter",
    "Run",
    "TrainConfig",
    "Trainer",
    "evaluate_samples",
    "load_run",
    "predict_image",
    "probabilities",
]
