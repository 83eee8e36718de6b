#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A student against the paper's recipe and against nothing at equal CPU time: perplexity over the teacher's, by minutes.
#
#   TEACHER=FOLDER TRAIN=books.txt TEXT=emma.txt RUNS="5 30" MARKS="2 5 10 20 30" CONTEXT=512 BATCH=4 \
#       MIXER="--mixer multihyena" RATE=2e-3 PRECISION=bf16 OPTIONS="--clip 1" \
#       SCAVENGE=scavenge.py PYTHON=python3 LAYER_SHARE=0.5 CONTENDERS="ours scratch scavenge" \
#       WORK=against-the-recipe examples/studies/against-the-recipe.sh
#
# Each contender runs once for each of RUNS, CPU minutes that its number of steps is chosen for (a few steps are timed
# first); at each of MARKS counts the lowest perplexity that any of its runs had told by then. Ours is a closed start
# with the options MIXER, its CPU time counted, then KL with the OPTIONS of fine-tune; scratch has random weights of the
# same shape and the cross-entropy. SCAVENGE is a program that does the paper's two stages with torch: scavenge.py FOLDER
# --train FILE --valid FILE --length L --batch B --layer-steps N --tune-steps N --eval-every-cpu S --threads 1, a JSON
# line a look with stage, cpu_s and valid_ppl; without SCAVENGE or TRAIN it is left out. All are scored on the same
# tokens, the first 64 blocks of CONTEXT + 1 of TEXT, and divided by the teacher's perplexity on them; looks cost them
# nothing. CONTENDERS are those that run: the table shows all whose runs are in WORK, so they may be separate jobs.
# WORK receives looks.tsv, table.tsv and against-the-recipe.svg; finished runs are not run again.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/common"
name=against-the-recipe
work=${WORK:-$name}
mkdir -p "$work"

teacher=${TEACHER:-$root/share/teachers/bookworm}
text=${TEXT:-$root/share/texts/emma-opening.txt}
context=${CONTEXT:-512} batch=${BATCH:-4} runs=${RUNS:-5 30} rate=${RATE:-2e-3}
read -r -a mixer <<<"${MIXER-}"
data=()
training_data

stage dump teacher-dump -q "$teacher" "${data[@]}" --context "$context" --limit "${TOKENS:-100K}" -t 1
stage start layer-distill -q "$work/dump.mts" --steps 0 -t 1 "${mixer[@]}"

# tune NAME STEPS OPTIONS...: the log of a run, kept under its name when it is whole
tune() {
    local log=$work/$1.jsonl
    [ -s "$log" ] || {
        fine-tune -q "$work/start.mts" "${data[@]}" --context "$context" --batch "$batch" --steps "$2" --lr "$rate" \
            --precision "${PRECISION:-f32}" -t 1 --log "$log.new" "${@:3}" -f -o "$work/$1.mts"
        mv "$log.new" "$log"
    }
}
# steps NAME MINUTES OPTIONS...: how many fit, from the cost of a few
steps() {
    tune "$1.cost" 6 "${@:3}"
    python3 - "$work/$1.cost.jsonl" "$2" <<'END'
import json, sys
cpu = [line["cpu_seconds"] for line in map(json.loads, open(sys.argv[1])) if "loss" in line]
print(max(10, int(float(sys.argv[2]) * 60 / ((cpu[-1] - cpu[0]) / (len(cpu) - 1)))))
END
}
# tokens OUTPUT LENGTH OPTIONS...: rows of ids
tokens() {
    [ -s "$work/$1" ] || teacher-dump -q "$teacher" --context "$2" --batch 1M --show tokens --no-model "${@:3}" |
        tensor-stream get -q batches.0.tokens - -f -o "$work/$1"
}
tokens valid.npy "$((context + 1))" --text "$text" --limit "$((64 * (context + 1)))"
looks=(--valid "$work/valid.npy")
of_ours=(--teacher "$teacher" --loss kl)
read -r -a options <<<"${OPTIONS-}"
of_ours+=("${options[@]}")
of_scratch=(--from-scratch --loss ce)
[ "${data[0]}" != --sample ] || of_scratch+=(--teacher "$teacher")
contends() { [[ " ${CONTENDERS:-ours scratch scavenge} " == *" $1 "* ]]; }
for minutes in $runs; do
    ! contends ours || tune "ours-$minutes" "$(steps ours "$minutes" "${of_ours[@]}")" "${of_ours[@]}" "${looks[@]}"
    ! contends scratch ||
        tune "scratch-$minutes" "$(steps scratch "$minutes" "${of_scratch[@]}")" "${of_scratch[@]}" "${looks[@]}"
done

# scavenge NAME LAYER_STEPS TUNE_STEPS: its lines
scavenge() {
    [ -s "$work/$1.lines" ] || {
        "${PYTHON:-python3}" "$SCAVENGE" "$teacher" --train "$train" --valid "$work/valid.npy" \
            --length "$context" --batch "${SCAVENGE_BATCH:-$batch}" --layer-steps "$2" --tune-steps "$3" \
            --eval-every-cpu "${EVERY:-30}" --threads 1 >"$work/lines.new"
        mv "$work/lines.new" "$work/$1.lines"
    }
}
if contends scavenge && [ -z "${SCAVENGE:+${TRAIN-}}" ]; then
    echo "no scavenge: it needs SCAVENGE and TRAIN"
elif contends scavenge; then
    train=$work/train.npy
    case $TRAIN in
    *.npy) train=$TRAIN ;;
    *) tokens train.npy "$context" --text "$TRAIN" ;;
    esac
    for minutes in $runs; do
        scavenge cost 4 4
        read -r layer tuned < <(python3 - "$work/cost.lines" "$minutes" "${LAYER_SHARE:-0.5}" <<'END'
import json, sys
lines = [line for line in map(json.loads, open(sys.argv[1])) if line["stage"] in ("start", "layer", "tune")]
layers = [line["cpu_s"] for line in lines if line["stage"] == "layer"]
seconds, share = 60 * float(sys.argv[2]), float(sys.argv[3])
a_layer = max(1e-3, layers[-1] - lines[0]["cpu_s"]) / 4       # a step of every layer
a_tune = max(1e-3, lines[-1]["cpu_s"] - layers[-1]) / 4
print(max(1, int(share * seconds / a_layer)), max(4, int((1 - share) * seconds / a_tune)))
END
        )
        scavenge "scavenge-$minutes" "$layer" "$tuned"
    done
fi

of_teacher=$(evaluate -q "$teacher" --tokens "$work/valid.npy" --context "$((context + 1))" --json -t 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["results"]["text"]["token_perplexity"]["value"])')
python3 - "$work" "$of_teacher" "$(cpu dump start)" "${MARKS:-2 5 10 20 30}" "$runs" <<'END'
import json, os, sys
work, teacher, start, marks, runs = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), *map(str.split, sys.argv[4:])
kinds = {"ours": ("%s/ours-%s.jsonl", "cpu_seconds", "perplexity", start),
         "scratch": ("%s/scratch-%s.jsonl", "cpu_seconds", "perplexity", 0.0),
         "scavenge": ("%s/scavenge-%s.lines", "cpu_s", "valid_ppl", 0.0)}
looks = {}
with open(work + "/looks.tsv", "w") as out:
    for name, (pattern, at, value, before) in kinds.items():
        for run in runs:
            if not os.path.exists(pattern % (work, run)):
                continue
            lines = map(json.loads, open(pattern % (work, run)))
            points = [((line[at] + before) / 60, line[value] / teacher) for line in lines if at in line and value in line]
            looks.setdefault(name, []).append(points)
            out.writelines("%s-%s\t%.4f\t%.5f\n" % (name, run, *point) for point in points)
            with open("%s/%s-%s.tsv" % (work, name, run), "w") as curve:
                curve.writelines("%.4f\t%.5f\n" % point for point in points)
with open(work + "/table.tsv", "w") as out:
    out.write("\t".join(["# CPU minutes", *looks]) + "\n")
    for mark in marks:
        best = [min((ratio for points in all_runs for at, ratio in points if at <= float(mark)), default=None)
                for all_runs in looks.values()]
        out.write("\t".join([mark, *("-" if x is None else "%.4f" % x for x in best)]) + "\n")
END
expand -t 16,28,40 "$work/table.tsv" # perplexity over the teacher's
curves=
for run in $runs; do
    while read -r contender colour title; do
        [ ! -s "$work/$contender-$run.tsv" ] ||
            curves+="'$work/$contender-$run.tsv' w lp pt 7 ps 0.5 lw 2 lc rgb '$colour' t '$title, $run min', "
    done <<'END'
ours #1f5fa8 ours
scratch #2e8b57 from scratch
scavenge #b03030 scavenge
END
done
picture "$work/$name.svg" <<END
set logscale y; set xlabel "CPU minutes"; set ylabel "perplexity / teacher's"
set ytics (1, 1.2, 1.5, 2, 3, 5, 10, 20, 50)
plot $curves 1 lc rgb "#888888" t ""
END
