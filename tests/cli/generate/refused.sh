# SPDX-License-Identifier: Apache-2.0
# What cannot be done, in one line.
try() { local status=0; "$@" || status=$?; echo "$status"; }
mkdir ids-alone && cp "$teacher/config.json" "$teacher/model.safetensors" ids-alone
head -c 4000 "$SOURCE/LICENSE" >long
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
try generate ids-alone --prompt a
try generate ids-alone --prompt-ids 1 -n 2 --ids --seed 1 -q
try generate "$teacher" --prompt a --precision int8
