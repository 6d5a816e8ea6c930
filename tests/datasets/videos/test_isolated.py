"""Decoders that die, stick or eat memory do no harm, and the next file is read."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import av
import mmcv
import numpy as np
import pytest
from torch.utils.data import DataLoader

from mmaction_videomambapro.datasets.videos import foreign, isolated
from mmaction_videomambapro.datasets.videos.isolated import DecoderError, Isolated
from mmaction_videomambapro.datasets.videos.shrink import shrink

DECORD, OPENCV = '.foreign:Decord', '.foreign:OpenCV'
LIMIT = 0.5  # seconds

STUBS = """
import ctypes, os, signal, struct, sys, time
import numpy as np

class Good:
    fps, alive = 10, 0

    def __init__(self, source):
        self.source = source
        Good.alive += 1

    def __len__(self):
        return 40

    def read(self, inds):
        for i in inds:
            yield np.full((4, 6, 3), i, np.uint8)

    def close(self):
        Good.alive -= 1

class Counts(Good):
    def __len__(self):
        return Good.alive

class Does(Good):
    def read(self, inds):
        yield from super().read(inds[:1])
        self.act()

class Loops(Does):
    def act(self):
        while True:
            pass

class Sleeps(Does):
    def act(self):
        time.sleep(1000)

class IgnoresSigterm(Does):
    def act(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)

class KeepsTheGIL(Does):
    def act(self):
        ctypes.PyDLL(None).sleep(1000)

class SticksOpening(Good):
    def __init__(self, source):
        time.sleep(1000)

class SticksClosing(Good):
    def close(self):
        time.sleep(1000)

class Trickles(Does):
    def act(self):
        while True:
            for fd in range(3, 2000):
                try:
                    os.write(fd, b'f')
                except OSError:
                    pass
            time.sleep(0.1)

class Aborts(Does):
    def act(self):
        os.abort()

class Crashes(Does):
    def act(self):
        ctypes.string_at(0)

class IsKilled(Does):
    def act(self):
        os.kill(os.getpid(), signal.SIGKILL)

class Exits(Does):
    def act(self):
        os._exit(3)

class Eats(Does):
    def act(self):
        eaten = []
        while True:
            eaten.append(np.zeros(1 << 28, np.uint8))

class EndsEarly(Does):
    def act(self):
        pass

class Raises(Good):
    def __init__(self, source):
        self.file = open(__file__)
        raise ValueError(source)

class Surveys(Good):
    def __init__(self, source):
        files = set()
        for fd in range(100):
            try:
                files.add(os.readlink(f'/proc/self/fd/{fd}').split(':')[0])
            except OSError:
                pass
        heavy = {'torch', 'mmcv', 'mmengine', 'mmaction_videomambapro'}
        os.write(1, b'noise')
        os.write(2, b'noise')
        raise ValueError(f'{sorted(files)} {sorted(heavy & set(sys.modules))}')

class Forges(Does):
    def act(self):
        for fd in range(3, 2000):
            try:
                os.write(fd, b"cos\\nabort\\n(tR." + bytes(100))
            except OSError:
                pass
        time.sleep(1000)

class Boasts(Does):
    def act(self):
        for fd in range(3, 2000):
            try:
                os.write(fd, struct.pack('<cIId', b'f', 30000, 30000, 0))
            except OSError:
                pass
        time.sleep(1000)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('isolated')
    (folder / 'stubs.py').write_text(STUBS)
    return folder


@pytest.fixture(autouse=True)
def stubs(folder, monkeypatch):
    """The child imports what this process can import."""
    monkeypatch.syspath_prepend(str(folder))
    forget_child()
    yield
    forget_child()


def forget_child():
    """Those of other tests import less."""
    if isolated._child is not None:
        isolated._child.stop()


def write_video(path, codec='libx264', frames=60, size=(96, 64), options=None):
    random = np.random.default_rng(0)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, 'yuv420p'
        for i in range(frames):
            image = np.full((size[1], size[0], 3), 4 * i % 256, np.uint8)
            image[:8] = random.integers(256, size=image[:8].shape)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.fixture(scope='module')
def mp4(folder):
    return write_video(folder / 'h264.mp4')


def stub(name, limit=LIMIT, source=''):
    return Isolated(f'stubs:{name}', source, limit)


def numbers(frames):
    return [int(frame[0, 0, 0]) for frame in frames]


def the_next_file_works():
    video = stub('Good', 10)
    assert numbers(video.read([0, 5, 39])) == [0, 5, 39]
    video.close()


def child_of_ours():
    return isolated._child.process.pid


def is_gone(pid):
    """Whether a process ended; it may wait for an init that does not reap."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] == 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize('name', ['Decord', 'OpenCV'])
@pytest.mark.parametrize('short_side', [None, 40, 64])
def test_frames_are_those_of_a_reader_in_process(mp4, name, short_side):
    inside = getattr(foreign, name)(mp4)
    outside = Isolated(f'.foreign:{name}', mp4)
    assert (len(outside), outside.fps) == (len(inside), inside.fps) == (60, 30)
    for inds in [59], [0, 3, 58], range(40):
        expected = [shrink(x, short_side) for x in inside.read(list(inds))]
        frames = list(outside.read(np.array(inds), short_side))
        np.testing.assert_array_equal(frames, expected)
        assert all(frame.flags.writeable for frame in frames)
    inside.close()
    outside.close()


def test_frames_are_shrunk_as_mmcv_does():
    random = np.random.default_rng(0)
    for height, width, side in random.integers(2, 300, (100, 3)).tolist():
        frame = random.integers(256, size=(height, width, 3), dtype=np.uint8)
        expected = frame
        if side < min(height, width):
            expected = mmcv.imrescale(frame, (np.inf, side))
        np.testing.assert_array_equal(shrink(frame, side), expected)


def test_content_in_memory(mp4):
    with open(mp4, 'rb') as file:
        content = file.read()
    expected = list(Isolated(DECORD, mp4).read([3, 30]))
    np.testing.assert_array_equal(
        list(Isolated(DECORD, content).read([3, 30])), expected
    )
    with pytest.raises(DecoderError, match='OpenCV reads only files'):
        Isolated(OPENCV, content)


@pytest.mark.parametrize(
    'name',
    ['Loops', 'Sleeps', 'IgnoresSigterm', 'KeepsTheGIL', 'Trickles', 'SticksOpening'],
)
def test_the_stuck_are_killed(name):
    the_next_file_works()  # and has started the child
    pid, start = child_of_ours(), time.monotonic()
    with pytest.raises(DecoderError, match=r'^it gave no answer for 0\.5 s$'):
        list(stub(name).read([1, 2]))
    assert LIMIT <= time.monotonic() - start < LIMIT + 5
    with pytest.raises(ProcessLookupError):  # not even a zombie
        os.kill(pid, 0)
    the_next_file_works()


def test_a_reader_that_sticks_when_closed_is_no_fault_of_the_next(monkeypatch):
    monkeypatch.setattr(isolated, 'TIME_LIMIT', LIMIT)
    stub('SticksClosing', 10).close()
    the_next_file_works()
    stub('SticksClosing', 10)  # dropped
    the_next_file_works()


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('Aborts', 'its process ended with signal SIGABRT'),
        ('Crashes', 'its process ended with signal SIGSEGV'),
        ('IsKilled', 'its process ended with signal SIGKILL'),
        ('Exits', 'its process ended with exit code 3'),
        ('Eats', 'it needs more than 4 GiB of memory'),
        ('EndsEarly', 'it ends before frame 2'),
    ],
)
def test_the_dead_say_why(name, reason):
    with pytest.raises(DecoderError, match=f'^{reason}$'):
        list(stub(name, 30).read([1, 2]))
    the_next_file_works()


@pytest.mark.parametrize(
    ('name', 'reason'), [('Forges', 'no proper answer'), ('Boasts', 'memory')]
)
def test_answers_are_not_trusted(name, reason):
    with pytest.raises(DecoderError, match=reason):
        list(stub(name, 10).read([1, 2]))
    assert not isolated._child.is_alive()
    the_next_file_works()


def test_others_outlive_the_death_of_the_child():
    others = [stub('Good', 10) for _ in range(2)]
    frames = others[0].read(range(20))
    first = [next(frames) for _ in range(3)]
    with pytest.raises(DecoderError, match='SIGABRT'):
        list(stub('Aborts', 10).read([0, 1]))
    assert numbers([*first, *frames]) == [*range(20)]
    assert numbers(others[1].read([7])) == [7]
    os.kill(child_of_ours(), signal.SIGKILL)  # while it is idle
    isolated._child.process.wait()
    assert numbers(others[1].read([8])) == [8]


def test_decord_ends_on_a_transport_stream(folder, mp4):
    """Decord never returns from some of them."""
    options = {'x264-params': 'keyint=250:scenecut=0:bframes=3'}
    path = write_video(folder / 'a.ts', frames=300, options=options)
    with pytest.raises(DecoderError, match='no answer for 2 s'):
        list(Isolated(DECORD, path, 2).read([0, 60, 120, 180, 240, 299]))
    assert len(list(Isolated(DECORD, mp4).read([1, 2]))) == 2


def test_decord_does_not_abort_us(folder, mp4):
    """It reserves memory for the number of frames that a header says."""
    path = folder / 'many.avi'
    write_video(path, 'mpeg4', 5)
    data = bytearray(path.read_bytes())
    length = data.index(b'strh') + 8 + 32
    data[length : length + 4] = b'\xff' * 4
    path.write_bytes(data)
    with pytest.raises(DecoderError, match='SIGABRT'):
        Isolated(DECORD, str(path))
    assert len(list(Isolated(DECORD, mp4).read([1, 2]))) == 2


def test_the_child_is_light_and_has_nothing_of_ours(folder):
    with (
        open(folder / 'stubs.py'),
        pytest.raises(DecoderError, match=r"^\['/dev/null', 'pipe', 'socket'\] \[\]$"),
    ):
        stub('Surveys', 10)


def test_descriptors_do_not_grow(folder):
    broken = folder / 'broken.mp4'
    broken.write_bytes(bytes(100))
    counts = []
    for i in range(101):
        for reader in 'stubs:Raises', DECORD, OPENCV:
            with pytest.raises(DecoderError):
                Isolated(reader, str(broken))
        if i in (0, 100):
            pids = os.getpid(), child_of_ours()
            counts.append([len(os.listdir(f'/proc/{pid}/fd')) for pid in pids])
    assert counts[0] == counts[1]
    with pytest.raises(DecoderError, match='Aborts'):
        stub('NoAborts')
    for _ in range(5):
        with pytest.raises(DecoderError, match='SIGABRT'):
            list(stub('Aborts', 10).read([0, 1]))
    the_next_file_works()
    assert len(os.listdir('/proc/self/fd')) == counts[0][0]


def test_readers_are_closed_in_the_child():
    first = stub('Counts', 10)
    first.close()
    first.close()
    stub('Counts', 10)  # dropped
    last = stub('Counts', 10)
    assert (len(first), len(last)) == (1, 1)


def test_interrupts_are_for_us():
    video = stub('Good', 10)
    os.kill(child_of_ours(), signal.SIGINT)
    assert numbers(video.read([4])) == [4]
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        list(stub('Sleeps', 20).read([1, 2]))
    assert numbers(video.read([5])) == [5]


def test_threads_share_the_child():
    def read(start):
        video = stub('Good', 20)
        return [numbers(video.read(range(start, 40))) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        results = [*pool.map(read, range(4))]
    assert results == [[[*range(start, 40)]] * 20 for start in range(4)]


class Frames:
    """Reads with a reader that the main process opened."""

    def __init__(self, video):
        self.video = video

    def __len__(self):
        return 8

    def __getitem__(self, i):
        with pytest.raises(DecoderError, match='SIGABRT'):
            list(stub('Aborts', 10).read([0, 1]))
        return numbers(self.video.read([i]))[0], child_of_ours()


def test_workers_have_children_of_their_own():
    video = stub('Good', 10)
    ours = child_of_ours()
    loader = DataLoader(Frames(video), num_workers=2, multiprocessing_context='fork')
    results = [(int(i), int(pid)) for i, pid in loader]
    assert [i for i, _ in results] == [*range(8)]
    children = {pid for _, pid in results}
    assert ours not in children
    wait_for(lambda: all(map(is_gone, children)))
    assert not is_gone(ours)
    assert numbers(video.read([3])) == [3]


def test_a_fork_amid_a_request():
    def stick():
        with pytest.raises(DecoderError, match='no answer'):
            list(stub('Sleeps', 1).read([0, 1]))

    video = stub('Good', 10)
    ours = child_of_ours()
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(stick)
        wait_for(isolated._lock.locked)
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            right = numbers(video.read([3])) == [3] and child_of_ours() != ours
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        stuck.result()


SCRIPT = """
import os, sys, types
folder, name = sys.argv[1:]
sys.path.append(folder)
if name == 'Good':
    os.close(0)  # as some schedulers do
    os.close(2)
package = sys.modules['package'] = types.ModuleType('package')
package.__path__ = [{videos!r}]
from package import isolated
video = isolated.Isolated(f'stubs:{{name}}', '')
print(isolated._child.process.pid, flush=True)
print(len(list(video.read([0, 1]))), flush=True)
if name != 'Good':
    sys.stdin.read()
"""


def start_script(folder, name):
    script = SCRIPT.format(videos=os.path.dirname(isolated.__file__))
    process = subprocess.Popen(
        [sys.executable, '-c', script, str(folder), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    return process, int(process.stdout.readline())


def test_no_child_is_left_at_exit(folder):
    process, child = start_script(folder, 'Good')
    with process:
        assert process.wait(20) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


@pytest.mark.parametrize('name', ['Counts', 'Loops', 'KeepsTheGIL'])
def test_the_child_ends_with_its_parent(folder, name):
    process, child = start_script(folder, name)
    with process:
        if name == 'Counts':  # idle then
            process.stdout.readline()
        else:
            time.sleep(0.3)
        assert not is_gone(child)
        process.kill()
        process.wait()
        wait_for(lambda: is_gone(child))
