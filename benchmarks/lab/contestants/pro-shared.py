# VideoMambaPro, both scans with the same parameters
_base_ = 'videomambapro.py'
backbone = dict(bimamba='shared')
