#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""pages.py WEFT TOOLS: every option that `weft run --help` names stands in the man page and in both completions, and no other does; the same of `weft serve` and
`weft fetch`; each command has a page; and docs/weft-run.md tells the truth."""

import glob
import os
import re
import shutil
import subprocess
import sys


def options_in(text, form):
    """The long options that a text has, each in the given form."""
    return set(re.findall(form, text))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def bash_completes(tools, words):
    """What bash offers for the last word."""
    script = (f'. "$1/completion/weft.bash"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weft; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["/bin/bash", "-c", script, "bash", tools, *words], stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout.split()


def compares_wrongly(page, helped):
    """Whether the page that compares with GNU parallel forgets an option, or says of one that it is there or not against the truth."""
    named = r"`(--?[A-Za-z0-9][a-z-]*)`"
    ours = options_in(helped, r"(?m)^  (?:-\w, |    )(--[a-z-]+)") | options_in(helped, r"(?m)^  (-\w)[ ,]")
    wrong = {f"{name} is not" for name in ours - options_in(page, named)}
    for row in page.splitlines():
        cells = [cell.strip() for cell in row.split("|")]
        names = options_in(cells[1], named) if len(cells) > 3 else set()
        wrong |= {f"{name}: {cells[2]}" for name in names if (name in ours) != (cells[2] in ("supported", "different")) and "with" not in cells[1]}
    for text in sorted(wrong):
        print(f"{text}, in docs/weft-run.md")
    return bool(wrong)


def help_of(weft, command):
    """What a command says of itself; "": it was not built."""
    return subprocess.run([weft, command, "--help"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, text=True).stdout


def pages_lack(weft, tools):
    """Whether a command has no page."""
    lacks = [command for command in re.findall(r"(?m)^  (\w+)", help_of(weft, "--help")) if not os.path.exists(f"{tools}/man/weft-{command}.1")]
    for command in lacks:
        print(f"weft-{command}.1 is not there")
    return bool(lacks)


def main():
    weft, tools = sys.argv[1:3]
    helped = subprocess.run([weft, "run", "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    wanted = options_in(helped, r"(?m)^  (?:-\w, |    )--([a-z-]+)")
    found = {
        "the man page": options_in(read(f"{tools}/man/weft-run.1"), r"(?m)^\.It (?:Fl \w(?: (?:Ns Oo )?Ar \w+(?: Oc)?)? , )?Fl -([a-z-]+)"),
        "bash's completion": options_in(read(f"{tools}/completion/weft.bash"), r"--([a-z-]+)") - {"version"},
        "zsh's completion": options_in(read(f"{tools}/completion/_weft"), r"--([a-z-]+)") - {"version"},
    }
    bad = len(wanted) < 20 or pages_lack(weft, tools)
    others = set()
    for command in ("serve", "fetch"):
        paged = options_in(read(f"{tools}/man/weft-{command}.1"), r"(?m)^\.It (?:Fl \w , )?Fl -([a-z-]+)")
        served = options_in(help_of(weft, command), r"(?m)^  (?:-\w, |    )--([a-z-]+)") or paged  # weft fetch may not have been built
        pages = {where: served - names for where, names in found.items()}
        pages["the man page"] = served ^ paged
        for where, names in pages.items():
            for name in sorted(names):
                print(f"--{name} of weft {command}: not the same in {where}")
                bad = True
        others |= served
    for where in found:
        found[where] -= others - wanted
    for where, names in found.items():
        for name in sorted(wanted ^ names):
            print(f"--{name} {'is not' if name in wanted else 'is no option, but stands'} in {where}")
            bad = True
    bad |= compares_wrongly(read(f"{tools}/../docs/weft-run.md"), helped)
    for words, answer in ((["weft", "ru"], ["run"]), (["weft", "run", "--resume-f"], ["--resume-failed"]), (["weft", "run", "--halt", "never"], ["never"])):
        if bash_completes(tools, words) != answer:
            print(f"bash completes {words} to {bash_completes(tools, words)}")
            bad = True
    if shutil.which("zsh") and subprocess.run(["zsh", "-n", f"{tools}/completion/_weft"], check=False).returncode:
        bad = True
    if shutil.which("mandoc"):
        for page in sorted(glob.glob(f"{tools}/man/*.1")):
            if not read(page).startswith(".so "):
                bad |= subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], check=False).returncode > 2
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
