# Control: VideoMambaPro sees one frame of each clip, in the place of all
_base_ = 'videomambapro.py'
control = 'one_frame'
