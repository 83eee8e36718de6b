# SPDX-License-Identifier: Apache-2.0
"""order-against-quality.py WORK: gathers what the study measured into WORK/rows.jsonl and WORK/table.tsv (for the
picture: an index a family, then the convolutions), and prints the table as Markdown."""
import json
import pathlib
import statistics
import sys

work = pathlib.Path(sys.argv[1])


def measured(name):
    return json.loads((work / (name + ".json")).read_text())["results"]["text"]


def median_of(name, key):
    path = work / (name + ".jsonl")
    if not path.exists():
        return None
    values = [fit[key] for fit in map(json.loads, path.open()) if fit.get(key) is not None]
    return statistics.median(values) if values else None


rows, exact = [], {}
for line in (work / "rows.txt").read_text().splitlines():
    family, order, name, source = line.split("\t")
    by_teacher, by_exact = measured(name + ".teacher"), measured(name + ".exact")
    convolution = measured(source + ".convolution")
    ratio = by_exact["against"]["perplexity_ratio"]
    rows.append({
        "family": family, "order": int(order), "model": name, "convolution": source,
        "fit_error": median_of(name, "error"), "fit_bound": median_of(name, "bound"),
        "perplexity": by_teacher["token_perplexity"], "over_teacher": by_teacher["against"]["perplexity_ratio"],
        "kl_teacher": by_teacher["against"]["kl"], "over_convolution": ratio,
        "kl_convolution": by_exact["against"]["kl"], "agreement": by_exact["against"]["agreement"],
        "tokens": by_teacher["tokens"]})
    exact[source] = convolution

families = list(dict.fromkeys(row["family"] for row in rows))
rows.sort(key=lambda row: (families.index(row["family"]), row["order"]))
with (work / "rows.jsonl").open("w") as file:
    for row in rows:
        print(json.dumps(row), file=file)
orders = sorted({row["order"] for row in rows})
with (work / "table.tsv").open("w") as file:
    for family in families:
        print(json.dumps(family), "ratio", "stderr", "kl", sep="\t", file=file)
        for row in rows:
            if row["family"] == family:
                print(row["order"], row["over_teacher"]["value"], row["over_teacher"]["stderr"],
                      max(row["kl_convolution"]["value"], 0.0), sep="\t", file=file)
        print("\n", file=file)
    for source in ("implicit", "free", "free-longer"):
        print(json.dumps(source + ", convolution"), "ratio", sep="\t", file=file)
        for order in (orders[0], orders[-1]):
            print(order, exact[source]["against"]["perplexity_ratio"]["value"], sep="\t", file=file)
        print("\n", file=file)



def number(x):
    return "" if x is None else "%.3f" % x if x >= 1e-3 else "%.0e" % x


def pair(measure, digits):
    return "%.*f +- %.*f" % (digits, measure["value"], digits, measure["stderr"])


def percent(ratio):
    if abs(ratio["value"] - 1) < 1e-6:
        return "below 1e-4 %"
    return "%+.2f +- %.2f %%" % (100 * (ratio["value"] - 1), 100 * ratio["stderr"])


print("| filters | states | fit error | none below | perplexity | over the teacher's | KL from the teacher "
      "| over its convolution's | KL from its convolution |")
print("| --- " * 9 + "|")
for row in rows:
    cells = [row["family"], str(row["order"]), number(row["fit_error"]), number(row["fit_bound"]),
             pair(row["perplexity"], 2), pair(row["over_teacher"], 3), number(row["kl_teacher"]["value"]),
             percent(row["over_convolution"]), number(max(row["kl_convolution"]["value"], 0.0))]
    print("| " + " | ".join(cells) + " |")
for source, convolution in exact.items():
    if not source.startswith("modal-"):
        cells = [source + ", convolution", "", "", "", pair(convolution["token_perplexity"], 2),
                 pair(convolution["against"]["perplexity_ratio"], 3),
                 number(convolution["against"]["kl"]["value"]), "", ""]
        print("| " + " | ".join(cells) + " |")
