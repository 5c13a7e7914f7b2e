"""Networks, each readable beside its paper's figure."""

from minidl.models import fused as fused  # it registers what minidl.fuse makes of these networks
from minidl.models.unet import NETWORKS, UNet, unet_documents, unet_paper

__all__ = ["NETWORKS", "UNet", "unet_documents", "unet_paper"]
