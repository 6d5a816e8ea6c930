#!/usr/bin/env bash
# Tests and measures everything that runs on a GPU, in under 9 minutes.
#
#   benchmarks/gpu.sh [FOLDER]    results go there, work_dirs/gpu by default
#
# Needs a python3 with PyTorch and Triton for the GPU, and no network: what else is
# missing is installed from wheels in ./wheels (or $WHEELS), into an environment of its
# own. With a source package of mamba-ssm among them it is built first, with its CUDA
# kernels, to be measured against; that takes nvcc and some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-work_dirs/gpu}
wheels=${WHEELS:-wheels}
jobs=$(nproc)
mkdir -p "$out"

python3 -m venv --system-site-packages "$out/venv"
python=$PWD/$out/venv/bin/python
install() { "$python" -m pip install --quiet --no-index --find-links "$wheels" "$@"; }
for package in addict yapf termcolor rich pyyaml platformdirs matplotlib einops scipy \
    opencv-python-headless mmengine mmcv-lite mmaction2 importlib_metadata wrapt decord \
    llvmlite sortedcontainers pytest hypothesis; do
    "$python" -m pip show --quiet "$package" 2>/dev/null || install --no-deps "$package" ||
        echo "no wheel of $package in $wheels"
done
install --no-deps --no-build-isolation -e . || export PYTHONPATH=$PWD
if ls "$wheels"/mamba_ssm-*.tar.gz >/dev/null 2>&1; then
    MAMBA_KEEP_CUDA_BUILD=TRUE MAMBA_FORCE_BUILD=TRUE MAX_JOBS=$jobs timeout 180 \
        "$python" -m pip install --quiet --no-index --no-deps --no-build-isolation \
        "$wheels"/mamba_ssm-*.tar.gz >"$out/mamba_ssm.log" 2>&1 ||
        echo "mamba-ssm was not built, see $out/mamba_ssm.log"
fi

{
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv
    "$python" -m mmaction_videomambapro || true
} | tee "$out/machine.txt"

# Most of the time goes into compiling: one process for a few tests each
status=0
"$python" -m pytest --collect-only -q tests/ops/gpu | grep '::' |
    tr '\n' '\0' | xargs -0 -n 6 -P "$jobs" \
    "$python" -m pytest -q -p no:cacheprovider >"$out/tests.txt" 2>&1 || status=$?
grep -E 'passed|failed|FAILED|Error' "$out/tests.txt" || true

timeout 120 "$python" benchmarks/scan.py --device cuda | tee "$out/scan.md" || status=$?
timeout 120 "$python" benchmarks/model.py --device cuda | tee "$out/model.md" || status=$?
exit "$status"
