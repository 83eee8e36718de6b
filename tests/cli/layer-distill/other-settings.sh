# SPDX-License-Identifier: Apache-2.0
# A checkpoint of other settings, another input or another run is refused, and what differs named.
dump -o dump.mts
ended KILL 2 distil dump.mts --lr 1e-3 -o out.mts
refused() {
    local code=$1 words=$2 status=0
    shift 2
    "$@" -o out.mts 2>message || status=$?
    [ "$status" = "$code" ] || echo "exit $status: $*"
    grep -q -- "$words" message || cat message
    [ ! -e out.mts ] || echo "$*: an output"
}
refused 2 '--lr was 0.001, is 0.002' goes_on distil dump.mts --lr 2e-3
refused 2 '--window was 0, is 4' goes_on distil dump.mts --window 4
refused 2 '--precision was "f32", is "f64"' goes_on distil dump.mts --precision f64
teacher-dump "$teacher" --text "$text" --limit 4K --context 64 --batch 4 -o longer.mts
refused 2 'begun with another input' goes_on distil longer.mts
refused 4 'holds the checkpoints of a run; give --resume' distil dump.mts --checkpoint kept
refused 2 '--resume needs --checkpoint' distil dump.mts --resume
refused 2 '--lr has no effect with --steps 0' distil dump.mts --steps 0 --lr 2e-3
refused 2 '--order has no effect with --filter free' distil dump.mts --filter free
# two runs in one folder
distil dump.mts --epochs 50 -o long.mts --checkpoint busy &
pid=$!
while [ ! -e busy ]; do sleep 0.02; done
sleep 0.2
refused 4 'another run keeps its checkpoints there' distil dump.mts --checkpoint busy
kill $pid
wait $pid || true
# -f begins anew
distil dump.mts --window 4 --checkpoint kept -f -o out.mts
distil dump.mts --window 4 -o whole.mts
cmp whole.mts out.mts
