"""Changes whole tables of a recipe's text, which Python can read as TOML and not write.

A table reaches from its header, and the remarks right above that, to the next table's.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\[+([^\[\]]+)\]+\s*$")


def without_table(text: str, name: str) -> str:
    """The text without the table `name` and those below it (`name.x`)."""
    return "".join(part for table, part in _tables(text) if not _is_below(table, name))


def with_table(text: str, name: str, lines: str) -> str:
    """The text with `lines` as the table `name`, in place of it and of those below it."""
    parts, placed = [], False
    for table, part in _tables(text):
        if not _is_below(table, name):
            parts.append(part)
        elif not placed:
            parts.append(f"[{name}]\n{lines.strip()}\n\n")
            placed = True
    return "".join(parts)


def with_line(text: str, name: str, line: str) -> str:
    """The text with one line more at the head of the table `name`."""
    header = f"[{name}]\n"
    return text.replace(header, f"{header}{line}\n", 1)


def _is_below(table: str, name: str) -> bool:
    return table == name or table.startswith(f"{name}.")


def _tables(text: str) -> list[tuple[str, str]]:
    """Names and texts, "" for what stands before the first table."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines(keepends=True):
        if found := _HEADER.match(line.strip()):
            remarks: list[str] = []
            while parts[-1][1] and parts[-1][1][-1].startswith("#") and len(parts) > 1:
                remarks.insert(0, parts[-1][1].pop())
            parts.append((found[1].strip(), remarks))
        parts[-1][1].append(line)
    return [(name, "".join(lines)) for name, lines in parts]
