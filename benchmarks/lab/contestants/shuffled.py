# Control: VideoMambaPro sees the frames in random order
_base_ = 'videomambapro.py'
control = 'shuffled'
