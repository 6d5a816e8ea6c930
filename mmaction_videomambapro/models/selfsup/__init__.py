from . import ema, masks, predictors, video_jepa, vision_transformer

__all__ = ['ema', 'masks', 'predictors', 'video_jepa', 'vision_transformer']
