from .videomamba import VideoMamba, VideoMambaPro

__all__ = ['VideoMamba', 'VideoMambaPro']
