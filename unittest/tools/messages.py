"""The messages in C++ sources: texts that a user may read, as the list of their literal parts.

A message is an expression of string literals and other things, such as ``path + ": expected " + what``; what stands
between two literals is unknown here. Literals of fewer than three words are no message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|\bstatic_assert\(.*?\);|^[ \t]*#(?:[^\n\\]|\\.)*$|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)\'|[;{}]',
    re.DOTALL | re.MULTILINE,
)
ESCAPES = {"n": " ", "t": " ", '"': '"', "\\": "\\", "'": "'"}


@dataclass(frozen=True)
class Message:
    source: str
    line: int
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {' ... '.join(self.parts)}"

    def has(self, phrases: list[str]) -> bool:
        """Whether the phrases stand in it in this order."""
        text, at = "\0".join(self.parts), 0
        for phrase in phrases:
            at = text.find(phrase, at)
            if at < 0:
                return False
            at += len(phrase)
        return True


def unescaped(literal: str) -> str:
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], ""), literal[1:-1])


def messages_of(path: Path) -> list[Message]:
    """Of each statement with text in it; neighboring literals are one."""
    text = path.read_text()
    found: list[Message] = []
    parts: list[str] = []
    line = end = 0

    def finish() -> None:
        if any(len(part.split()) >= 3 for part in parts):
            found.append(Message(path.name, line, tuple(part for part in parts if part.strip())))
        parts.clear()

    for token in TOKEN.finditer(text):
        if token[0] in ";{}":
            finish()
        elif token[0].startswith('"'):
            if not parts:
                line = text.count("\n", 0, token.start()) + 1
            if parts and not text[end : token.start()].strip():
                parts[-1] += unescaped(token[0])
            else:
                parts.append(unescaped(token[0]))
            end = token.end()
    finish()
    return found
