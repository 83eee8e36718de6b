# what bash offers behind an option with choices, behind "--", and behind an option that takes a number
probe --generate bash >completion
. ./completion
offers() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    compopt() { :; }
    COMPREPLY=()
    _stillhouse_probe || true
    echo "${COMPREPLY[*]-}"
}
touch one.mts
offers probe --mode ''
offers probe --mode r
offers probe --mode = e
offers probe --tem
offers probe --top ''
offers probe --text on
offers probe one
