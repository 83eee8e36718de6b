# SPDX-License-Identifier: Apache-2.0
teacher=$SOURCE/share/teachers/bookworm
head -c 6000 "$SOURCE/LICENSE" >a.txt
tail -c 2500 "$SOURCE/LICENSE" >b.txt
