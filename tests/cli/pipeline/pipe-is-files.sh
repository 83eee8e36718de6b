# SPDX-License-Identifier: Apache-2.0
# One pipe gives the bytes of the same stages in files, the text too.
dump | distil | hankel-spectrum -k 8 --orders 4 | modal-fit --order 8 | realize-ssm >pipe.mts
dump -o dump.mts
distil dump.mts -o student.mts
hankel-spectrum -k 8 --orders 4 student.mts -o spectrum.mts
modal-fit --order 8 spectrum.mts -o modes.mts
realize-ssm modes.mts -o recurrence.mts
cmp pipe.mts recurrence.mts
generate pipe.mts --prompt "It was a" -n 12 >one
dump | distil | hankel-spectrum -k 8 --orders 4 | modal-fit --order 8 | realize-ssm | generate - --prompt "It was a" -n 12 >two
cmp one two
tensor-stream check pipe.mts
