# SPDX-License-Identifier: Apache-2.0
# A small training, and ways to end it in the middle.
teacher=$SOURCE/share/teachers/bookworm
text=$SOURCE/share/texts/emma-opening.txt
export STILLHOUSE_LOG_LEVEL=error

dump() { teacher-dump "$teacher" --text "$text" --limit 3K --context 64 --batch 4 "$@"; }
distil() { ${exec-} layer-distill --length 64 --order 4 --start-tokens 512 --batch 3 "$@"; }

# Of the checkpoints in kept; -1: none.
newest_step() {
    local file step=-1
    for file in kept/step-*.mts; do
        [ ! -e "$file" ] || step=$((10#$(basename "${file#kept/step-}" .mts)))
    done
    echo "$step"
}

# ended SIGNAL STEP COMMAND...: COMMAND with checkpoints in kept, ended by a signal once there is one of STEP or later,
# and as many as `least` says
ended() {
    local signal=$1 step=$2 status=0
    shift 2
    (exec=exec && "$@" --checkpoint kept --checkpoint-every 0s --resume 2>>messages) &   # the signal is for the tool
    local pid=$!
    while kill -0 $pid 2>/dev/null && { [ "$(newest_step)" -lt "$step" ] || [ "$(ls kept | wc -l)" -lt "${least:-1}" ]; }; do
        sleep 0.02
    done
    kill -"$signal" $pid 2>/dev/null || true
    wait $pid 2>/dev/null || status=$?
    case $signal:$status in
    KILL:137 | TERM:75) ;;
    *) echo "ended by $signal at step $step: exit $status"; tail -n 3 messages ;;
    esac
}
goes_on() { "$@" --checkpoint kept --checkpoint-every 0s --resume; }
