#!/usr/bin/env bash
# Test with one process per GPU: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]
# Several machines: set NNODES, MASTER_ADDR and PORT to the same values on all of them,
# and NODE_RANK to the number of each.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of test.py]" >&2
    exit 2
fi
CONFIG=$1; CHECKPOINT=$2; GPUS=$3; shift 3

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname -- "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
