# colours on a terminal, unless the user says otherwise
on-terminal out true || exit 77
esc=$(printf '\033[33m')
shown() { if grep -F "$esc" >/dev/null; then echo yes; else echo no; fi; }
on-terminal err probe --json | shown
NO_COLOR=1 on-terminal err probe --json | shown
TERM=dumb on-terminal err probe --json | shown
on-terminal err probe --json --color never | shown
NO_COLOR=1 on-terminal err probe --json --color always | shown
probe --json 2>&1 | shown
