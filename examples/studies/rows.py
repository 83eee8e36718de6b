# SPDX-License-Identifier: Apache-2.0
# rows.py FOLDER N: the first N rows of poles, residues, fir, order, sections and cascade.npy as row0.poles.npy ... each
# an array of one row. Prints how many there are. (.npy as modal-fit's results have it: row-major, little-endian.)
import ast
import struct
import sys

folder, most = sys.argv[1], int(sys.argv[2])
for part in ("poles", "residues", "fir", "order", "sections", "cascade"):
    with open("%s/%s.npy" % (folder, part), "rb") as file:
        data = file.read()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:start].decode())
    count = header["shape"][0]
    size = (len(data) - start) // count
    for row in range(min(count, most)):
        text = repr({**header, "shape": (1,) + tuple(header["shape"][1:])})
        text = text.ljust(-(len(text) + 11) % 64 + len(text)) + "\n"
        with open("%s/row%d.%s.npy" % (folder, row, part), "wb") as file:
            file.write(data[:8] + struct.pack("<H", len(text)) + text.encode())
            file.write(data[start + row * size:start + (row + 1) * size])
print(min(count, most))
