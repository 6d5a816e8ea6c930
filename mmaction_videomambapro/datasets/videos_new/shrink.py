"""Shrinking frames, without a heavy import."""

from __future__ import annotations

import cv2
import numpy as np


def shrink(frame: np.ndarray, short_side: int | None) -> np.ndarray:
    """Scale a frame down to a short side, its shape kept.

    Args:
        frame (np.ndarray): (H, W, 3), uint8.
        short_side (int, optional): Length of the shorter side in pixels. Frames whose
            shorter side is not longer, and all frames if it is None, stay as they are.

    Returns:
        np.ndarray: (H', W', 3), bilinear: what MMCV's ``imrescale`` gives.
    """
    height, width = frame.shape[:2]
    if short_side is None or min(height, width) <= short_side:
        return frame
    scale = short_side / min(height, width)
    return cv2.resize(frame, (int(width * scale + 0.5), int(height * scale + 0.5)))
