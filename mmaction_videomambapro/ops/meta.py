"""The scan on the meta device: results of the right shape, and nothing computed."""

from .operators.scan import ScanOperator

scan_operator = ScanOperator('selective_scan_meta', (), None, None, lambda inputs: 0)
