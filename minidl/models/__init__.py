"""Networks, each readable beside its paper's figure."""

from minidl.models.unet import UNet, unet_documents, unet_paper

__all__ = ["UNet", "unet_documents", "unet_paper"]
