#!/usr/bin/env bash
# Train with one process per GPU: tools/dist_train.sh CONFIG GPUS [arguments of train.py]
# Several machines: set NNODES, MASTER_ADDR and PORT to the same values on all of them,
# and NODE_RANK to the number of each.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [arguments of train.py]" >&2
    exit 2
fi
CONFIG=$1; GPUS=$2; shift 2

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname -- "$0")/train.py" "$CONFIG" --launcher pytorch "$@"
