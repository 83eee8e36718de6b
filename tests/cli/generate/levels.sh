# SPDX-License-Identifier: Apache-2.0
# Greedy text in f32 with every kind of instructions that this processor has: equal up to the first place where the two
# likeliest tokens are nearer than 1e-3 to each other (said on standard error), and the margins before it equal to 1e-3.
teacher-dump -q "$teacher" --sample --limit 2K --context 64 >dump.mts
layer-distill -q --steps 0 --order 16 dump.mts -o student.mts
layer-distill -q --steps 0 --order 8 --window 5 --keep 1,2:0 --mixer multihyena dump.mts -o mixed.mts
printf 'It was a\nThe sea\nOnce upon a time there was\nMr. Knightley\n"Oh!" said she\nA\nIn the year\nThey' >prompts
run() {
    local name=$1 device=$2
    shift 2
    if ! generate -q "$@" --device "$device" --greedy --ignore-eos --logprobs --prompts-file prompts --batch 8 \
        -o "$name.$device" 2>said; then
        grep -q 'this processor has no such instructions' said
    fi
}
for device in cpu cpu:avx512 cpu:avx2 cpu:plain; do
    run recurrent "$device" student.mts -n 200
    run exact "$device" student.mts --mode exact -n 100
    run mixed "$device" mixed.mts -n 100
    run attention "$device" "$teacher" -n 50
done
python3 - <<'END'
import json, os, sys
levels = [level for level in ("cpu", "cpu:avx512", "cpu:avx2") if os.path.exists("recurrent." + level)]
different, near, equal = 0, 0, 0
for name in ("recurrent", "exact", "mixed", "attention"):
    plain = [json.loads(line) for line in open(name + ".cpu:plain")]
    for level in levels:
        found = [json.loads(line) for line in open(name + "." + level)]
        assert len(found) == len(plain) == 8
        for mine, theirs in zip(found, plain):
            different += mine["logprobs"] != theirs["logprobs"]
            assert len(mine["ids"]) == len(theirs["ids"]) > 0
            for place, (one, other) in enumerate(zip(mine["ids"], theirs["ids"])):
                least = min(mine["margins"][place], theirs["margins"][place])
                assert abs(mine["margins"][place] - theirs["margins"][place]) < 1e-3
                where = f"{name}, {level} against plain, prompt {mine['prompt']}, token {place}: margin {least:.1e}"
                if least <= 1e-3:
                    near += 1
                    print(where, "and another token" if one != other else "and the same token", file=sys.stderr)
                assert one == other or least <= 1e-3, where
                if one != other:
                    break
                equal += 1
assert different > 0 or levels == ["cpu"], "levels that never differ in a bit are one level"
print(equal, "equal tokens,", near, "places with a margin below 1e-3, of levels", *levels, file=sys.stderr)
END
