"""How kernels divide (B, L, D) tokens: into tasks, chunks of tokens, tiles of lanes."""

from __future__ import annotations

from .lanes import LANES, Int, Kernel, Lanes

TASK_FIELDS = 'counter', 'tasks', 'parts', 'groups', 'tiles', 'channels', 'length'


def array_fields(*names: str) -> tuple[str, ...]:
    """Where an array's first token in scan order lies, and its steps in bytes."""
    return tuple(n + step for n in names for step in ('', '_batch', '_group', '_token'))


class Task:
    """A turn of the parallel loop: a share of the tiles of a clip's group of channels.

    Args:
        k (Kernel): With TASK_FIELDS.
        index (Int): Of the task.
        chunk (int): Tokens of a chunk.
        down (bool): Whether chunks are walked from the last to the first.
            Defaults to False.
    """

    def __init__(self, k: Kernel, index: Int, chunk: int, down: bool = False) -> None:
        self.k, self.chunk_size, self.down = k, chunk, down
        self.part, self.row = index % k.parts, index // k.parts
        self.group, self.batch = self.row % k.groups, self.row // k.groups
        self.first = k.tiles * self.part // k.parts
        self.tiles = k.tiles * (self.part + 1) // k.parts - self.first
        self.chunks = (k.length + (chunk - 1)) // chunk

    def count(self, chunk: Int) -> Int:
        """Tokens of a chunk."""
        return (self.k.length - chunk * self.chunk_size).min(self.chunk_size)


class Tile:
    """LANES channels of a chunk of tokens, and where everything about them lies.

    Args:
        task (Task): What it is part of.
        chunk (Int): Index of the chunk.
        i (Int): Index of the tile within the task.
        ragged (bool): Whether a group's channels are not a multiple of LANES.
        rows (int): Rows of ``scratch``, (clips, groups, tiles, rows, LANES).
        states (int): Rows of ``states``, (clips, groups, chunks, tiles, rows, LANES).
            Defaults to 0, for kernels that have none.
        shared (tuple): Arrays of tokens whose last dimension is not the channels.
    """

    def __init__(
        self,
        task: Task,
        chunk: Int,
        i: Int,
        ragged: bool,
        rows: int,
        states: int = 0,
        shared: tuple[str, ...] = (),
    ) -> None:
        k = self.k = task.k
        index = task.first + i
        self.start = chunk * task.chunk_size
        self.count = task.count(chunk)
        channel = index * LANES
        self.present = k.channels - channel if ragged else k.int(LANES)
        self.mask = k.tail_mask(self.present) if ragged else None
        self.channel = task.group * k.channels + channel
        self.clip_channel = task.batch * (k.groups * k.channels) + self.channel
        self.scratch = k.scratch + (task.row * k.tiles + index) * (rows * k.size)
        if states:
            piece = (task.row * task.chunks + chunk) * k.tiles + index
            self.states = k.states + piece * (states * k.size)

        # Tiles follow each other within a chunk, then in the next one.
        last = (i + 1).is_(task.tiles)
        back = i * -k.size
        self._first, self._ahead = {}, {}
        for field in k.fields:
            name = field.removesuffix('_token')
            if name == field:
                continue
            at = getattr(k, name) + task.batch * getattr(k, f'{name}_batch')
            at = at + task.group * getattr(k, f'{name}_group')
            at = at + self.start * getattr(k, field)
            self._first[name] = at if name in shared else at + channel * k.item
            leap = getattr(k, field) * (
                -task.chunk_size if task.down else task.chunk_size
            )
            self._ahead[name] = k.choose(last, leap + back, k.int(k.size))

    def at(self, name: str, t: Int | int) -> Int:
        """Where the t-th token of the chunk lies."""
        return self._first[name] + getattr(self.k, f'{name}_token') * t

    def load(self, name: str, t: Int | int) -> Lanes:
        place = self.at(name, t)
        self._prefetch(name, place)
        return self.k.load(place, self.mask)

    def store(self, name: str, t: Int | int, x: Lanes) -> None:
        place = self.at(name, t)
        self._prefetch(name, place)
        self.k.store(place, x, self.mask)

    def _prefetch(self, name, place):
        """Fetch the same token of the next tile: the hardware does not see so far."""
        self.k.prefetch(place + self._ahead[name])

    def weight(self, name: str) -> Lanes:
        """One number per channel of an array (D,), 0 if there is no array."""
        k, base = self.k, getattr(self.k, name)
        mask = k.tail_mask(k.choose(base.is_not(0), self.present, k.int(0)))
        return k.load(base + self.channel * k.item, mask)

    def weights(self, name: str, rows: int, place: Int, factor: float = 1) -> None:
        """Copy an array (D, rows) to rows of lanes, multiplied by a factor."""
        k = self.k
        base = getattr(k, name) + self.channel * (rows * k.item)
        with k.loop(rows) as n:
            mask = k.tail_mask(self.present)
            x = k.gather(base + n * k.item, rows * k.item, mask)
            k.store(place + n * k.size, x * factor)

    def store_weights(self, name: str, rows: int, place: Int) -> None:
        """Copy rows of lanes to the clip's part of an array (B, D, rows)."""
        k = self.k
        base = getattr(k, name) + self.clip_channel * (rows * k.item)
        with k.loop(rows) as n:
            x = k.load(place + n * k.size)
            mask = k.tail_mask(self.present)
            k.scatter(base + n * k.item, rows * k.item, x, mask)

    def sum_weight(self, name: str) -> Int:
        """Where the clip's part of an array (B, D) lies."""
        k = self.k
        return getattr(k, name) + self.clip_channel * k.item

    def load_rows(self, place: Int, b: Int, rows: int) -> list[Lanes]:
        """The b-th block of an array's rows."""
        place = place + b * (rows * self.k.size)
        return [self.k.load(place + n * self.k.size) for n in range(rows)]

    def store_rows(self, place: Int, b: Int, rows: list) -> None:
        place = place + b * (len(rows) * self.k.size)
        for n, x in enumerate(rows):
            self.k.store(place + n * self.k.size, x.get())


class Table:
    """Working memory: rows of lanes, by name."""

    def __init__(self, k: Kernel, rows: int, *names: str) -> None:
        self.k, self.names = k, names
        self.base = k.buffer(rows * len(names) * k.size)

    def _at(self, row, name):
        column = self.names.index(name) * self.k.size
        return self.base + row * (len(self.names) * self.k.size) + column

    def get(self, row: Int, *names: str) -> list[Lanes]:
        return [self.k.load(self._at(row, name)) for name in names]

    def set(self, row: Int, **values: Lanes) -> None:
        for name, x in values.items():
            self.k.store(self._at(row, name), x)
