# listing, choosing, noting, and ids to text
tensor-stream import -q embed.weight.npy poles.npy filters.npy | tensor-stream note -q - seed=1 rate=0.5 'name=a b' done=true -o all.mts
tensor-stream list -q all.mts
tensor-stream list -q --json all.mts
tensor-stream select -q all.mts 'p*' | tensor-stream list -q
tensor-stream select -q all.mts --drop 'p*' --drop filters | tensor-stream list -q
tensor-stream select -q all.mts | cmp - all.mts
for words in "select all.mts nope" "get nope all.mts" "note all.mts seed" "note all.mts =1" "text --ids 99999 $SOURCE/share/teachers/bookworm" \
    "text filters all.mts" "text nope all.mts"; do
    status=0
    # shellcheck disable=SC2086
    tensor-stream ${words%% *} -q ${words#* } 2>&1 >/dev/null || status=$?
    echo "exit $status"
done
tensor-stream text -q --ids 12,345,60 "$SOURCE/share/teachers/bookworm"
echo
