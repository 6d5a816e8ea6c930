"""Say what happens in a video, with ONNX Runtime, NumPy and OpenCV alone."""

import json
import sys

import cv2
import numpy as np
import onnxruntime


def choose(n, type, clip_len, frame_interval, num_clips, **_):
    """Frames of each clip in a video of n frames: (clips, frames)."""
    T, rate, K = clip_len, frame_interval, num_clips
    i, k = np.arange(T), np.arange(K)[:, None]
    if type == 'SampleFrames':
        rest = max(n - (T - 1) * rate - 1, 0)
        starts = np.round(k * (rest / (K - 1))) if K > 1 else k + rest // 2
        return (starts + i * rate).astype(int) % n
    if type == 'SampleDense':
        rest = max(n - T * rate, 0)
        starts = (k * (rest / (K - 1))).astype(int) if K > 1 else k + rest // 2
        return np.minimum(starts + i * rate, (n - 1) // rate * rate)
    if type == 'SampleSSv2':
        inds = (k * (n / T) / K + n / T * i).astype(int)
        return np.sort(inds, axis=None).reshape(T, K).T
    shifts = ((n - 1) / T / (K + 1) * (k + 1)).astype(int)  # the uniform samplers
    return np.minimum(np.round((n - 1) / T * i).astype(int) + shifts, n - 1)


def views(path, resize, crop, crops, shrink=None, **sampler):
    """What the model sees of a video: (views, T, H, W, 3), uint8, RGB."""
    n = sum(iter(cv2.VideoCapture(path).grab, False))
    if not n:
        sys.exit(f'{path} is not a video that OpenCV reads')
    clips, video, frames = choose(n, **sampler), cv2.VideoCapture(path), {}
    for i in range(clips.max() + 1):
        if video.grab() and i in clips:
            image = cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB)
            for side in (min(shrink or 1 << 30, *image.shape[:2]), resize):
                scale = side / min(image.shape[:2])
                size = [int(x * scale + 0.5) for x in image.shape[1::-1]]
                image = cv2.resize(image, size)
            frames[i] = image
    whole = np.array([[frames[i] for i in clip] for clip in clips])
    y, x = ((length - crop) // 2 for length in whole.shape[2:4])
    corners = [(0, 0), (2 * y, 2 * x), (y, x)][-crops:]
    return np.concatenate([whole[:, :, y : y + crop, x : x + crop] for y, x in corners])


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit('usage: predict_onnx.py MODEL.onnx VIDEO')
    model = onnxruntime.InferenceSession(sys.argv[1])
    about = model.get_modelmeta().custom_metadata_map
    sampling = json.loads(about.get('sampling', 'null'))
    frames = views(sys.argv[2], **(sampling or sys.exit('the file has no sampling')))
    scores = model.run(['scores'], {'frames': frames[None]})[0][0]
    names = json.loads(about.get('classes', 'null')) or range(len(scores))
    for i in np.argsort(-scores)[:5]:
        print(f'{scores[i]:7.1%}  {names[i]}')
