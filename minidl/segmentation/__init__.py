"""Images, masks and data sets: reading, augmenting, measuring, tiling, drawing. Arrays only, no tensors.

The modules are imported one by one (``from minidl.segmentation.folder import scan``): this package imports
none of them by itself, because some need Pillow, which ``import minidl`` must not wait for.
"""
