# SPDX-License-Identifier: Apache-2.0
# What cannot be done, in one line.
try() { local status=0; "$@" || status=$?; echo "$status"; }
mkdir ids-alone && cp "$teacher/config.json" "$teacher/model.safetensors" ids-alone
head -c 4000 "$SOURCE/LICENSE" >long
printf 'a\n\nb\n' >gap
printf 'a\nb\xff\xfe\n' >bytes
: >empty
exec 2>&1
try generate "$teacher" --prompt-ids 2048
try generate "$teacher" --prompt-ids 1,,2
try generate "$teacher" --prompt-file long
try generate "$teacher" --prompt a --prompt-ids 1
try generate "$teacher" --mode recurrent --prompt a
try generate "$teacher" --mode exact --prompt a
try generate "$teacher" --filters modes --prompt a
try generate "$teacher" --greedy --temperature 2 --prompt a
try generate "$teacher" -n 0 --prompt a
try generate "$teacher" --stop '' --prompt a
try generate "$teacher" --stop $'\xff' --prompt a
try generate "$teacher" --batch 0 --prompt a
try generate "$teacher" --precision int4 --prompt a
try generate "$teacher" --precision f64 --head-precision int8 --prompt a
try generate "$teacher" --prompts-file gap -o out
try generate "$teacher" --prompts-file bytes -o out
try generate "$teacher" --prompts-file empty -o out
try generate "$teacher" --prompts-file gap --resume
try generate "$teacher" --prompts-file gap --resume --save-state state -o out
try generate "$teacher" --prompt a --resume -o out
try generate ids-alone --prompt a
try generate ids-alone --prompt-ids 1 --ids --stop x
try generate ids-alone --prompt-ids 1 -n 2 --ids --seed 1 -q
ls
