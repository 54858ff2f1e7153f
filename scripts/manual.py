#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Section 3 of the manual, made from the comments of the public headers: scripts/manual.py ROOT FOLDER

Writes into FOLDER one page a header (include/weft/queue.h becomes weft_queue.3), one for weft.hpp, the overview weft.3, and for every function and
macro a link to the page that tells of it, in the mdoc language of BSD's manuals. Each comment belongs to the declarations that follow it up to a blank
line or the next comment: they become one subsection. ERRORS is put together from the errno names that the comments mention. FOLDER.d tells ninja
what was read."""

import errno
import os
import re
import shutil
import sys
import textwrap
import time
from pathlib import Path

NOT_FOR_READERS = {"WEFT_BEGIN", "WEFT_END", "WEFT_API", "WEFT_PRINTF", "WEFT_WARN_UNUSED", "WEFT_PASTE"}
ALWAYS_SO = {
    "EAGAIN": "The deadline was WEFT_NOW, and the call would have had to wait.",
    "ETIMEDOUT": "The deadline came.",
    "ECANCELED": "The calling task was cancelled.",
    "ENOMEM": "There is not enough memory.",
}
VERSION = re.search(r'VERSION "(.*)"', Path(sys.argv[1], "include/weft/base.h").read_text(encoding="utf-8")).group(1)
PARENTHESIS = r"(?: \(((?:[^()]|\([^()]*\))*)\))?"
TOKEN = re.compile(r"(?P<blank>\n[ \t]*(?=\n))|(?P<comment>/\*.*?\*/)|(?P<directive>#(?:[^\n\\]|\\\n|\\.)*)|\s", re.S)


class Item:
    """A function, macro, constant or type, with what a program would write."""

    def __init__(self, sort, name, code):
        self.sort, self.name, self.code = sort, name, code


class Group:
    """What stands under one comment."""

    def __init__(self, text):
        self.text, self.items = text, []


# Reading


def comment_text(comment):
    lines = comment.strip()[2:-2].split("\n")
    return "\n".join(re.sub(r"^ ?\*(?: |$)", "", line.strip()) if number else line.strip() for number, line in enumerate(lines)).strip("\n")


def flat(code):
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", code, flags=re.S)).strip()


def declaration_end(text, at):
    """Where the declaration that begins at `at` ends: behind its semicolon, or the brace that closes a function's body."""
    depth = 0
    for match in re.compile(r"/\*.*?\*/|[{};]", re.S).finditer(text, at):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        is_body = match.group() == "}" and depth == 0 and re.search(r"\)\s*(?:WEFT_\w+\s*)*{", text[at : match.start()])
        if depth == 0 and (match.group() == ";" or is_body):
            return match.end()
    return len(text)  # no declaration; the test of the manual will miss what stood there


def function_item(code):
    head = flat(code.split("{")[0]).rstrip(";")
    head = re.sub(r"\b(?:WEFT_API|WEFT_WARN_UNUSED|static|inline|extern)\b|\b(?:WEFT_PRINTF|__attribute__)\s*\(+[^)]*\)+", "", head)
    head = re.sub(r"\s+", " ", head).strip()
    name = re.match(r"[^(]*?(\w+)\s*\(", head).group(1)
    return Item("function", name, head)


def declaration_item(code):
    plain = flat(code)
    if re.match(r"(?:WEFT_API|static inline)\b", plain):
        return function_item(code)
    if plain.startswith("typedef") and "{" not in plain:
        match = re.search(r"\b(\w+)\s*\([^()]*\);$|(\w+);$", plain)
        return Item("opaque" if re.match(r"typedef struct (\w+) \1;", plain) else "type", match.group(1) or match.group(2), code.strip())
    named = re.search(r"}\s*(\w+)\s*;$", plain) if plain.startswith("typedef") else None
    tag = re.match(r"(?:typedef )?((?:struct|enum|union) \w+)", plain)
    if not tag or "{" not in plain:
        return None
    return Item("type", named.group(1) if named else tag.group(1), code.strip())


def macro_item(directive):
    match = re.match(r"#\s*define\s+((?:weft|WEFT)_\w+)(\(([^)]*)\))?(.*)", directive, re.S)
    if not match or match.group(1).endswith("_") or match.group(1) in NOT_FOR_READERS or re.fullmatch(r"WEFT_\w+_H", match.group(1)):
        return None
    name, called, parameters, body = match.groups()
    if not called:
        return Item("macro" if name.startswith("weft_") else "constant", name, name)
    names = [parameter.strip().rstrip("_") for parameter in parameters.split(",")]
    if names[-1] == "...":
        last = re.search(r"\.(\w+) = __VA_ARGS__", body)
        names[-1:] = [last.group(1), ".option = ..."] if last else [".option = ..."] if "_options" in body else ["..."]
    return Item("macro" if name.startswith("weft_") else "constant", name, f"{name}({', '.join(names)})")


def groups_of(text):
    """The groups of a header, the file's own comment first."""
    groups, at, comments = [Group("")], 0, 0
    while at < len(text):
        match = TOKEN.match(text, at)
        item = None
        if match and match.group("comment"):
            comments += 1
            if comments > 1 or "SPDX" not in match.group("comment"):
                groups.append(Group(comment_text(match.group("comment"))))
        elif match and match.group("blank") is not None and groups[-1].items:
            groups.append(Group(""))
        elif match and match.group("directive"):
            item = macro_item(match.group("directive"))
            if re.match(r"#ifndef WEFT_\w+_H\b", match.group("directive")):
                groups.append(Group(""))  # the file's own comment belongs to nothing that follows
        elif not match and (word := re.compile(r"WEFT_(?:BEGIN|END)\b").match(text, at)):
            at = word.end()
            continue
        elif not match:
            end = declaration_end(text, at)
            item = declaration_item(text[at:end])
            end = re.compile(r"(?:[ \t]*/\*[^\n]*?\*/)?").match(text, end).end()
            at = end
        if item and not any(item.name == other.name for group in groups for other in group.items):
            groups[-1].items.append(item)
        at = match.end() if match else at
    return [group for group in groups if group.text or group.items]


class Header:
    def __init__(self, path):
        text = path.read_text(encoding="utf-8")
        self.path, self.page = path, "weft_" + path.stem
        self.includes = [name for name in re.findall(r"#include <weft/(\w+)\.h>", text)]
        groups = groups_of(text)
        self.intro = groups[0].text if not groups[0].items else ""
        self.groups = groups[1:] if self.intro else groups
        self.items = [item for group in self.groups for item in group.items]

    def summary(self):
        """What NAME says: how the file's comment begins, but for the noun itself ("A queue: ...")."""
        parts = re.split(r"(?<=[\w)}][.:])\s", flat_prose(self.intro), maxsplit=2)
        noun_first = parts[0].endswith(":") and (len(parts[0].split()) <= 2 or "(" in parts[0])
        said = parts[1 if noun_first else 0].rstrip(".:")
        return (said[:1].lower() + said[1:] if re.match(r"[A-Z][a-z]* ", said) else said) or self.page

    def callables(self):
        return [item.name for item in self.items if item.sort in ("function", "macro")]


# Writing


def flat_prose(text):
    return re.sub(r"\s+", " ", text).strip()


def escaped(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")


def guarded(line):
    return "\\&" + line if line[:1] in (".", "'") else line


def inline(text):
    """A sentence, names in bold. A minus is one only before a digit or in front of a word: the others are hyphens."""
    text = text.replace("\\", "\\e").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    text = re.sub(r"(?<![\w-])-(?=[\w-])", r"\\-", text)
    return re.sub(r"(?<![\w\\])((?:weft|WEFT|wefti)_\w*\w|errno|E[A-Z0-9]{2,})(?!\w)", r"\\fB\\%\1\\fP", text)


def sentences(text):
    """Sentence by sentence, as roff wants it, in lines of a readable length."""
    lines = []
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9*-])", flat_prose(text)):
        lines += textwrap.wrap(inline(sentence), 78, break_long_words=False, break_on_hyphens=False)
    return [guarded(line) for line in lines]


def is_code(line):
    return line.startswith("    ") or bool(re.fullmatch(r"weft_\w+ ?\(.*\)[;,.]?", line))


def apart(lines):
    """A new paragraph; displays and lists begin one by themselves."""
    return lines if lines[:1] and lines[0].startswith((".Bd", ".Bl")) else [".Pp", *lines]


def prose(text):
    """Paragraphs, with lines that are indented, or nothing but a call, as code."""
    out = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines, at = paragraph.split("\n"), 0
        part = []
        while at < len(lines):
            end = at
            while end < len(lines) and is_code(lines[end]) == is_code(lines[at]):
                end += 1
            if is_code(lines[at]):
                part += [".Bd -literal -offset indent", *(guarded(escaped(line.removeprefix("    "))) for line in lines[at:end]), ".Ed"]
            else:
                part += sentences("\n".join(lines[at:end]))
            at = end
        out += apart(part) if out else part
    return out


def parameters_of(code):
    inside = code[code.index("(") + 1 : code.rindex(")")]
    parts = re.split(r",\s*(?![^()]*\))", inside)
    parts = [part.strip() for part in parts if part.strip() not in ("", "void")]
    # A line of a manual has 72 characters, and a parameter stands on one.
    return [part if len(code) < 70 or len(part) < 40 else re.sub(r"\w+$", "", part) for part in parts]


def quoted(text):
    return '"' + escaped(text).replace('"', '\\(dq') + '"'


def prototype(item, returns=None):
    if "(" not in item.code:
        return [".Fd " + quoted("#define " + item.name) if item.sort == "constant" else ".Ic " + item.name]
    before = item.code[: item.code.index("(")]
    kind = before[: -len(item.name)].strip() or returns
    out = [".Ft " + quoted(kind)] if kind else []
    return out + [".Fo " + item.name, *(".Fa " + quoted(parameter) for parameter in parameters_of(item.code)), ".Fc"]


def returns_of(macro, items):
    """What a macro gives that fills in the options of a plain form."""
    for item in items:
        if item.sort == "function" and item.name == macro.name + "_with":
            return item.code[: item.code.index(item.name)].strip()
    return None


def members(item):
    """What a struct or enum is made of: each with what its comment says. None for one with parts inside."""
    body = item.code[item.code.index("{") + 1 : item.code.rindex("}")]
    if "{" in body:
        return None
    body = re.sub(r"(?m)^\s*#.*$", "", body)
    separator = "," if re.match(r"(?:typedef )?enum", item.code) else ";"
    found = re.findall(rf"\s*((?:[^{separator}/]|/(?!\*))+){separator}?[ \t]*(/\*.*?\*/)?", body, re.S)
    found = [(flat(code), comment_text(comment) if comment else "") for code, comment in found if flat(code)]
    return [(code, text) for code, text in found if "weft_guard *" not in code]


def type_body(item):
    parts = members(item) if "{" in item.code else None
    if parts is None:
        return [".Bd -literal -offset indent", *(guarded(escaped(line)) for line in item.code.split("\n")), ".Ed"]
    out = [".Bl -tag -width Ds -compact"]
    for code, text in parts:
        out += [".It Vt " + quoted(code), *sentences(text)]
    return out + [".El"]


def subsection(group, items):
    """What is said of one group; a type that nothing is said of and that shows nothing has none."""
    shown = [item for item in group.items if item.sort != "opaque" or group.text]
    if not shown or (not group.text and all(item.sort in ("constant", "opaque") for item in shown)):
        return []
    out = [".Ss " + " , ".join(item.name for item in shown)]
    for item in shown:
        if item.sort in ("function", "macro"):
            out += [*prototype(item, returns_of(item, items)), ".br"]
    out = out[:-1] if out[-1] == ".br" else out
    if group.text:
        out += apart(prose(group.text)) if len(out) > 1 else prose(group.text)
    for item in shown:
        if item.sort == "type":
            out += type_body(item)
    return out


def errors(header):
    """By errno name: which functions have it, and when, in the words of the comments."""
    found = {}
    for group in header.groups:
        names = [item.name for item in group.items if item.sort in ("function", "macro")]
        names = [name for name in names if not (name.endswith("_with") and name[: -len("_with")] in names)]
        if not names:
            continue
        for name, why in re.findall(r"\b(E[A-Z0-9]{2,})\b" + PARENTHESIS, flat_prose(group.text)):
            if hasattr(errno, name):
                said = found.setdefault(name, {})
                for function in names:
                    said[function] = said.get(function) or why
    return found


def errors_section(header):
    found = errors(header)
    if not found:
        return []
    out = [".Sh ERRORS", "By error, which calls have it, and when, in the words from above.", ".Bl -tag -width Er"]
    for name in sorted(found):
        out += [f".It Bq Er {name}", *sentences(ALWAYS_SO.get(name, ""))]
        calls = [f"{function}" + (f" ({why})" if why else "") for function, why in found[name].items()]
        out += sentences(", ".join(calls) + ".")
    return out + [".El"]


def returns_section(header):
    kinds = [item.code[: item.code.index(item.name)].strip() for item in header.items if item.sort == "function"]
    said = []
    if "int" in kinds:
        said.append("A function that returns an int gives 0, or what is said above, when it succeeds, and -1 with errno set when it fails.")
    if any(kind.endswith("*") and "char" not in kind and "void" not in kind for kind in kinds):
        said.append("What makes something gives NULL with errno set when it fails.")
    if any("given away" in group.text for group in header.groups):
        said.append("What is given away stays the caller's when the call fails.")
    return [".Sh RETURN VALUES", *sentences(" ".join(said))] if said else []


def head(page, date, names, summary):
    lines = [".\\\" Made from the comments of the header by scripts/manual.py.", f".Dd {date}", f".Dt {page.upper()} 3", f".Os Weft {VERSION}", ".Sh NAME"]
    lines += [f".Nm {name} ," for name in names[:-1]] + [f".Nm {names[-1]}"]
    return lines + [".Nd " + guarded(inline(summary)).replace("\\fB", "").replace("\\fP", "")]


def references(pages):
    pages = sorted(pages)
    return [".Sh SEE ALSO", *(f".Xr {page} 3 ," for page in pages[:-1]), f".Xr {pages[-1]} 3"]


def page_of(header, date):
    names = [header.page] + [name for name in header.callables() if name != header.page]
    out = head(header.page, date, names, header.summary())
    out += [".Sh LIBRARY", "Weft (libweft, \\-lweft)", ".Sh SYNOPSIS", f".In weft/{header.path.name}"]
    for group in header.groups:
        for item in group.items:
            if item.sort in ("function", "macro") or (item.sort == "constant" and not group.text):
                out += prototype(item, returns_of(item, header.items))
    out += [".Sh DESCRIPTION", *prose(header.intro)]
    for group in header.groups:
        out += subsection(group, header.items)
    out += returns_section(header) + errors_section(header)
    return out + references({"weft"} | {"weft_" + name for name in header.includes})


def overview(headers, root, date):
    text = comment_text((root / "include/weft.h").read_text(encoding="utf-8").split("\n")[1])
    out = head("weft", date, ["weft"], "tasks, queues, locks, pools, futures and commands for C")
    out += [".Sh LIBRARY", "Weft (libweft, \\-lweft)", ".Sh SYNOPSIS", ".In weft.h", ".Sh DESCRIPTION", *prose(text), ".Pp",
            "Each header has a page, and each call a name under which that page is found.", ".Bl -tag -width weft_semaphore"]
    for header in headers:
        out += [f".It Xr {header.page} 3", *sentences(header.summary() + ".")]
    out += [".It Xr weft.hpp 3", "The same for C++.", ".El", ".Pp", "What holds everywhere stands in", ".Xr weft_base 3 ."]
    return out + [".Sh SEE ALSO", ".Xr weft 1"]


def page_of_cpp(path, date):
    """The file's comment, and what its classes and functions at the top say of themselves."""
    text = re.sub(r"^namespace detail.*?^} // namespace detail", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    intro = comment_text(re.findall(r"/\*.*?\*/", text, re.S)[1])
    out = head("weft.hpp", date, ["weft.hpp"], "Weft for C++17 and later")
    out += [".Sh LIBRARY", "Weft (libweft, \\-lweft)", ".Sh SYNOPSIS", ".In weft.hpp", ".Sh DESCRIPTION", *prose(intro), ".Bl -tag -width Ds"]
    said = re.compile(r"^(/\*(?:(?!\*/).)*\*/)\n((?:template <[^\n]*>\s)?[\w:<>&* \[\]]*\b\w+(?: :[^\n]*|\([^\n]*)?)\n\{?", re.M | re.S)
    for comment, code in said.findall(text):
        if "namespace" not in code:
            shown = re.sub(r", class R = .*?>>", ">", flat(code).split(" : ")[0].rstrip("{ "))
            shown = re.sub(r"\[\[nodiscard\]\] |\binline | noexcept$", "", shown)
            out += [".It Vt " + quoted(shown), *sentences(comment_text(comment))]
    return out + [".El"] + references({"weft", "weft_value", "weft_task", "weft_pool"})


def date_of(paths):
    stamp = os.environ.get("SOURCE_DATE_EPOCH") or max(path.stat().st_mtime for path in paths)
    day = time.gmtime(float(stamp))
    return time.strftime("%B ", day) + f"{day.tm_mday}, {day.tm_year}"


def write(folder, page, lines):
    (folder / f"{page}.3").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(root, folder):
    paths = sorted((root / "include/weft").glob("*.h"))
    headers, date = [Header(path) for path in paths], date_of(paths)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for header in headers:
        write(folder, header.page, page_of(header, date))
    pages = {header.page for header in headers}
    for header in headers:
        for name in header.callables():
            if name not in pages:
                write(folder, name, [f".so man3/{header.page}.3"])
    write(folder, "weft", overview(headers, root, date))
    write(folder, "weft.hpp", page_of_cpp(root / "include/weft.hpp", date))
    read = [*paths, root / "include/weft.h", root / "include/weft.hpp"]
    Path(f"{folder}.d").write_text(f"{folder}: {' '.join(map(str, read))}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
