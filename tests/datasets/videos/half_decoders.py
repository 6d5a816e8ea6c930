"""Decoders that fail, for the process of their own."""

from videos import foreign


class HalfDecord(foreign.Decord):
    """Opens, and fails at the second frame."""

    def read(self, inds):
        yield from super().read(inds[:1])
        raise RuntimeError('[12:00:00] file.cc:1: damaged block')


class Generous(foreign.OpenCV):
    """Promises five frames more than there are."""

    def __len__(self):
        return super().__len__() + 5
