"""torch's ``nn.utils``: what is done to the parameters of a model from outside."""

from minidl.nn.clip_grad import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_"]
