# SPDX-License-Identifier: Apache-2.0
# What cannot be done, in one line.
try() {
    local status=0
    "$@" -o out.mts || status=$?
    echo "$status"
    [ ! -e out.mts ]
}
printf '\x00\x08' >outside.u16
cp -r "$teacher" other && chmod -R u+w other
sed -i 's/"gpt_neox"/"mamba"/' other/config.json
cp -r "$teacher" window && chmod -R u+w window
sed -i 's/"vocab_size"/"sliding_window": 64, "vocab_size"/' window/config.json
cp -r "$teacher" contradicts && chmod -R u+w contradicts
sed -i 's/"num_hidden_layers": 4/"num_hidden_layers": 5/' contradicts/config.json
mkdir pickled && cp "$teacher/config.json" pickled && : >pickled/pytorch_model.bin
: >nothing.txt
exec 2>&1
try teacher-dump "$teacher"
try teacher-dump "$teacher" --sample
try teacher-dump "$teacher" --sample --limit 10 --tokens outside.u16
try teacher-dump "$teacher" --text a.txt --context 513
try teacher-dump "$teacher" --text a.txt --layers 3-4
try teacher-dump "$teacher" --text a.txt --top-k 4
try teacher-dump "$teacher" --tokens outside.u16
try teacher-dump "$teacher" --text nothing.txt
try teacher-dump other --text a.txt
try teacher-dump window --text a.txt
try teacher-dump contradicts --text a.txt
try teacher-dump pickled --text a.txt
