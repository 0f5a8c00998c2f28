#!/usr/bin/env python3
"""Keeps RESULTS.md, and the table of the README: every class of Apache's suite, on Apache's servers and on OxMQ.

    tools/table.py                     writes RESULTS.md from tools/apache-5.5.0.csv and tools/oxmq.csv
    tools/table.py OUT_DIR...          takes runs on OxMQ (folders given to --out) into tools/oxmq.csv first
    tools/table.py --apache OUT_DIR... the same of runs on Apache's servers

A class of a run replaces what the file has of it, at the last attempt of each method.
"""
import collections
import csv
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = {"apache": os.path.join(HERE, "apache-5.5.0.csv"), "oxmq": os.path.join(HERE, "oxmq.csv")}
# Why a class is not run on OxMQ, by the first match of its name.
REASONS = [
    ("container.", "ignored by the suite itself; containers and replication are not served yet"),
    ("client.consumer.pop.", "POP is not served yet"),
    ("retry.Pop", "POP is not served yet"),
    ("offset.OffsetResetForPop", "POP is not served yet"),
    ("grpc.", "gRPC is not served yet"),
    ("rmqit.grpc.", "gRPC is not served yet"),
    ("dledger.", "DLedger is not served; a configuration that asks for it refuses the start"),
    ("statictopic.", "static topics are served without remapping; our own tests: `src/broker/tests/it/static_topics.rs`"),
    ("offset.OffsetNotFoundIT", "reaches into a server's objects"),
    ("recall.", "consumes by POP, which is not served yet; our own test: `TimerTest` of `compat-tests/clients`"),
]
# What of the suite asks no server: it is run on neither.
SERVERLESS = [
    ("autoswitchrole.AutoSwitchRoleIntegrationTest", "ignored by the suite itself; stores in the test's own JVM"),
    ("lmq.TestBenchLmqStore", "asks a mock of the client"),
    ("schema.SchemaTest", "ignored by the suite itself; compares Apache's Java classes"),
]
README = os.path.join(HERE, "..", "..", "..", "README.md")
BEGIN, END = "<!-- table.py -->\n", "<!-- end of table.py -->\n"


def read(path):
    table = collections.OrderedDict()
    if os.path.exists(path):
        for row in csv.DictReader(open(path, newline="")):
            table[row["class"]] = (int(row["pass"]), row["other"])
    return table


def take(table, folder):
    last = collections.OrderedDict()
    for row in csv.DictReader(open(os.path.join(folder, "results.csv"), newline="")):
        last.setdefault(row["class"], collections.OrderedDict())[row["method"]] = row["status"]
    for name, methods in last.items():
        counts = collections.Counter(methods.values())
        passed = counts.pop("PASS", 0)
        table[name] = (passed, " ".join("%d %s" % (n, s) for s, n in sorted(counts.items())))


def write(path, table):
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["class", "pass", "other"])
        for name in sorted(table):
            out.writerow([name, table[name][0], table[name][1]])


def cell(result):
    passed, other = result
    if not passed and other.endswith("SKIP"):
        return "ignored"
    return ", ".join(filter(None, ["%d pass" % passed if passed else "", other]))


HEAD = """# Apache's integration tests, class by class

Methods that pass on Apache's servers (5.5.0) and on OxMQ, up to two retries each. SKIP: ignored by the suite itself;
INPROC: reaches into a server's objects. Made by `tools/table.py`.

"""


def render(apache, oxmq):
    lines = [
        "| class | Apache 5.5.0 | OxMQ | why it is not run |",
        "|---|---|---|---|",
    ]
    sums = [0, 0]
    for name in sorted(set(apache) | set(oxmq)):
        theirs, ours = apache.get(name), oxmq.get(name)
        sums[0] += theirs[0] if theirs else 0
        sums[1] += ours[0] if ours else 0
        why = "" if ours else next((r for prefix, r in REASONS if name.startswith(prefix)), "")
        if not ours and not why and theirs and not theirs[0]:
            why = "ignored by the suite itself"
        lines.append("| %s | %s | %s | %s |" % (name, cell(theirs) if theirs else "", cell(ours) if ours else "–", why))
    lines += ["| %s | – | – | %s |" % row for row in SERVERLESS]
    lines.append("| **methods that pass** | **%d** | **%d** | |" % tuple(sums))
    return "\n".join(lines) + "\n"


def main():
    arguments, side = sys.argv[1:], "oxmq"
    if arguments[:1] == ["--apache"]:
        arguments, side = arguments[1:], "apache"
    if any(a.startswith("-") for a in arguments):
        sys.exit(__doc__)
    if arguments:
        table = read(FILES[side])
        for folder in arguments:
            take(table, folder)
        write(FILES[side], table)
    table = render(read(FILES["apache"]), read(FILES["oxmq"]))
    with open(os.path.join(HERE, "..", "RESULTS.md"), "w") as out:
        out.write(HEAD + table)
    before, rest = open(README).read().split(BEGIN)
    after = rest.split(END)[1]
    with open(README, "w") as out:
        out.write(before + BEGIN + "\n" + table + "\n" + END + after)


if __name__ == "__main__":
    main()
