# SPDX-License-Identifier: Apache-2.0
# No byte of any tool depends on the number of threads.
for threads in 1 2 3; do
    mkdir $threads
    dump --threads $threads --show residual,mixer,lag,logits --top-k 5 -o $threads/dump.mts
    teacher-dump "$teacher" --sample --limit 640 --context 64 --seed 5 --threads $threads -o $threads/sample.mts
    distil $threads/dump.mts --window 8 --taps 2 --threads $threads -o $threads/student.mts
    hankel-spectrum $threads/student.mts -k 8 --threads $threads -o $threads/spectrum.mts
    modal-fit $threads/spectrum.mts --order 6 --threads $threads -o $threads/modes.mts
    realize-ssm $threads/modes.mts --form cascade --threads $threads -o $threads/recurrence.mts
    fine-tune $threads/recurrence.mts --teacher "$teacher" --text "$text" --steps 2 --context 64 --threads $threads \
        -o $threads/tuned.mts
    evaluate $threads/recurrence.mts --text "$text" --limit 256 --context 64 --against "$teacher" --json \
        --threads $threads >$threads/scores.json
    printf 'It was a\nShe had\nThe\n' >prompts
    generate $threads/recurrence.mts --prompts-file prompts --batch $threads -n 20 --threads $threads >$threads/text
done
for threads in 2 3; do
    for file in dump sample student spectrum modes recurrence tuned; do
        cmp 1/$file.mts $threads/$file.mts
    done
    sed "s|\"$threads/|\"1/|g" $threads/scores.json | cmp 1/scores.json -
    cmp 1/text $threads/text
done
