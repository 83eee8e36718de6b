# SPDX-License-Identifier: Apache-2.0
# A teacher, a text, and small task files of both layouts.
teacher=$SOURCE/share/teachers/bookworm
text=$SOURCE/share/texts/emma-opening.txt
export STILLHOUSE_LOG_LEVEL=error
try() { local status=0; "$@" || status=$?; echo "$status"; }

cat >choices.jsonl <<'END'
{"context": "The sun went", "choices": ["down", "blue", "table"], "gold": 0}
{"context": "She was a very", "choices": ["good woman", "of the"], "gold": 0}
{"context": "He shut the", "choices": ["door", "and"], "gold": 0}
{"context": "It was not", "choices": ["a", "long before"], "gold": 1}
END
cat >lambada.jsonl <<'END'
{"text": "He looked at her and said no"}
{"context": "I do not know what you", "continuation": "mean"}
{"context": "He went into the other", "continuation": "room"}
END
