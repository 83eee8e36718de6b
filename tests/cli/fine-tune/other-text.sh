# SPDX-License-Identifier: Apache-2.0
# A run is not resumed on another text, validation text, token file or dump, even of equal length and name.
head -c 1500 "$text" >short.txt
tr a-z b-za <short.txt >turned.txt
refused() {
    local status=0 words=$1
    shift
    tune "$@" --steps 1000000 --checkpoint kept --resume -f -o out.mts 2>message || status=$?
    { [ "$status" = 2 ] && grep -q "cannot be resumed: it was begun with another $words;" message; } ||
        { echo "exit $status: $*"; cat message; }
}
cp short.txt same.txt
ended TERM 1 tune --text same.txt --valid short.txt --steps 1000000 -o out.mts
refused 'text or token file' --text turned.txt --valid short.txt
refused '--valid' --text same.txt --valid turned.txt
cp turned.txt same.txt
refused 'text or token file' --text same.txt --valid short.txt
