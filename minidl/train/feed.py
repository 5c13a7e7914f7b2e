"""Batches on their way to a GPU: the next one is copied while the current one is computed with.

Copying goes side by side with kernels only from *pinned* host memory, which the system never moves, and in a
stream of its own. Two waits make it right:

* the copy waits until kernels that used the same device memory before are done (memory that was freed is used
  again at once, though kernels may still be reading it);
* the kernels wait for the copy, by an event; the program itself waits for neither.

Pinned memory is written again only when the copy from it is done.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import numpy as np

from minidl._device import Device

Array = np.ndarray[Any, Any]


class Transfer:
    """Asynchronous copies from the host to one device, through two sets of pinned buffers in turn.

    Args:
        device: where to; not the host.

    Raises:
        DeviceUnavailable: this machine has no such device.

    >>> import minidl
    >>> transfer = Transfer(minidl.device("cuda_sim"))
    >>> under_way = transfer.start((np.ones(3, np.float32),))
    >>> transfer.finish(under_way)[0].tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, device: Device) -> None:
        self.device, self.xp = device, device.namespace()
        with device.context():
            self.stream = self.xp.cuda.Stream(non_blocking=True)
        self._buffers: list[dict[int, Any]] = [{}, {}]
        self._events: list[Any] = [None, None]
        self._turn = 0

    def start(self, arrays: Iterable[Array]) -> tuple[list[Any], Any]:
        """Begin to copy; gives the device's arrays, not to be read yet, and the event behind the copy."""
        self._turn = 1 - self._turn
        if self._events[self._turn] is not None:
            self._events[self._turn].synchronize()  # the copy before the last, long done
        with self.device.context():
            compute = self.xp.cuda.get_current_stream()
            sources = [self._pinned(number, a) for number, a in enumerate(arrays)]
            pairs = [(self.xp.empty(a.shape, a.dtype), a) for a in sources]
            self.stream.wait_event(compute.record())
            for target, source in pairs:
                target.set(source, stream=self.stream)
            event = self._events[self._turn] = self.stream.record()
        return [target for target, _ in pairs], event

    def finish(self, started: tuple[list[Any], Any]) -> list[Any]:
        """The arrays, for kernels of the current stream: those wait for the copy."""
        arrays, event = started
        with self.device.context():
            self.xp.cuda.get_current_stream().wait_event(event)
        return arrays

    def _pinned(self, number: int, array: Array) -> Array:
        """A copy of the array in pinned memory, which is kept for the next one of its number."""
        buffers = self._buffers[self._turn]
        if number not in buffers or buffers[number].nbytes < array.nbytes:
            memory = self.xp.cuda.alloc_pinned_memory(max(1, array.nbytes))
            buffers[number] = np.frombuffer(memory, np.uint8, max(1, array.nbytes))
        pinned: Array = buffers[number][: array.nbytes].view(array.dtype).reshape(array.shape)
        np.copyto(pinned, array)
        return pinned


def feed(
    batches: Iterable[tuple[Array, Array]], device: Device
) -> Generator[tuple[Any, Any, Array], None, None]:
    """Images and masks where the network lives, and the masks on the host; one batch is copied ahead.

    On the host the batches come as they are.
    """
    if device.index is None:
        for images, masks in batches:
            yield images, masks, masks
        return
    transfer = Transfer(device)
    waiting: tuple[tuple[list[Any], Any], Array] | None = None
    for images, masks in batches:
        started = transfer.start((images, masks)), masks
        if waiting is not None:
            yield _arrived(transfer, waiting)
        waiting = started
    if waiting is not None:
        yield _arrived(transfer, waiting)


def _arrived(transfer: Transfer, waiting: tuple[tuple[list[Any], Any], Array]) -> tuple[Any, Any, Array]:
    images, masks = transfer.finish(waiting[0])
    return images, masks, waiting[1]
