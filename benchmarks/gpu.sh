#!/usr/bin/env bash
# Checks and measures everything that runs on a GPU, one stage after the other.
#
#   benchmarks/gpu.sh [--rehearse] [FOLDER [STAGE ...]]
#
# FOLDER takes the results, as they come: $OUT or work_dirs/gpu by default. Without
# stages, all of them run, in the order at the end of this script. --rehearse goes
# through all of it on a CPU, in a minute, with stand-ins for the GPU.
#
# Needs a python3 with PyTorch for GPUs, NumPy and wrapt, and no network. What else is
# missing is taken from the wheels in $WHEELS or work_dirs/wheels; a stage whose packages
# are in neither is skipped. See docs/gpu.md.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
rehearse=()
if [[ ${1:-} == --rehearse ]]; then
    rehearse=(--rehearse)
    export CUDA_VISIBLE_DEVICES='' TRITON_INTERPRET=1
    shift
fi
out=${1:-${OUT:-$root/work_dirs/gpu}}
chosen=("${@:2}")
wheels=${WHEELS:-$root/work_dirs/wheels}
if ! mkdir -p "$out" || ! touch "$out/summary.md"; then
    echo "$0: cannot write into $out, give another folder" >&2
    exit 2
fi
out=$(cd "$out" && pwd)
[[ $wheels == /* ]] || wheels=$PWD/$wheels
cd "$root"

# Nothing is written but results, not even by compilers
scratch=$(mktemp -d)
running=() # processes to end with the script
trap 'kill "${running[@]}" 2>/dev/null; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
export XDG_CACHE_HOME=$scratch TRITON_CACHE_DIR=$scratch/triton MPLCONFIGDIR=$scratch
export TORCHINDUCTOR_CACHE_DIR=$scratch/inductor HYPOTHESIS_STORAGE_DIRECTORY=$scratch

# An environment that adds the missing wheels to what python3 has. It lists the outer
# folders itself: those of a virtual environment are not "system" site packages.
python=python3
install() { "$python" -m pip install --quiet --no-index --no-deps "$@" 2>>"$out/wheels.log"; }
add_wheels() {
    local missing=() wheel name site
    for wheel in "$wheels"/*.whl; do
        [[ -e $wheel ]] || return 0
        name=${wheel##*/}
        python3 -c "from importlib.metadata import version; version('${name%%-*}')" \
            2>/dev/null || missing+=("$wheel")
    done
    ((${#missing[@]})) || return 0
    python3 -m venv --without-pip "$scratch/venv" || return
    python=$scratch/venv/bin/python
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    python3 -c 'import sys; print(*filter(None, sys.path), sep="\n")' >"$site/outer.pth"
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null
    export PIP_CONFIG_FILE=/dev/null
    : >"$out/wheels.log"
    install "${missing[@]}" || for wheel in "${missing[@]}"; do
        install "$wheel" || echo "not installed: ${wheel##*/}, see wheels.log"
    done
}
add_wheels
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "$0: $(command -v python3) has no PyTorch, activate an environment that has" >&2
    exit 2
fi

status=0
printf '| stage | | s | at most |\n|---|---|---|---|\n' >"$out/summary.md"
stage() { # NAME SECONDS: of benchmarks/gpu.py, and how long it may take
    local name=$1 limit=$2 start=$SECONDS code word log=$out/$1.log
    [[ ${#chosen[@]} == 0 || " ${chosen[*]} " == *" $name "* ]] || return 0
    rm -f "$out/$name".{md,jsonl,txt,log} # of an earlier run
    printf '\n== %s, at most %s s\n' "$name" "$limit"
    timeout -k 10 "$limit" "$python" -W ignore benchmarks/gpu.py "$name" "$out" \
        ${rehearse[@]+"${rehearse[@]}"} 2>"$log" &
    running[0]=$!
    wait "${running[0]}"
    code=$?
    unset 'running[0]'
    case $code in
        0) word=done ;;
        77) word="skipped: $(tail -n 1 "$log")" ;;
        124 | 137) word='stopped at its limit' ;;
        *) word="failed: $(tail -n 1 "$log")" ;;
    esac
    [[ $code == 0 || $code == 77 ]] || status=1
    [[ -s $log && $code != 77 ]] || rm -f "$log"
    printf '== %s %s, %s s\n' "$name" "$word" $((SECONDS - start))
    printf '| %s | %s | %s | %s |\n' "$name" "${word//|/\\|}" $((SECONDS - start)) \
        "$limit" >>"$out/summary.md"
}

if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu \
        --format=csv -l 1 >"$out/clocks.csv" 2>/dev/null &
    running[1]=$!
fi

# The most valuable first, what is slow or only a comparison last
stage machine 60
stage correctness 240
stage scan 120
stage model 240
stage profile 120
stage tests 300
stage mamba_ssm 180
stage chunked 120
stage loops 120
stage compiled 240
stage autotune 300

printf '\n'
cat "$out/summary.md"
echo "Results are in $out"
exit "$status"
