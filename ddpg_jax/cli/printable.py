"""Text that came from outside as text that can be printed: names of files may hold any bytes, line breaks included."""


def printable(words: object) -> str:
    """Returns the words on one line, with everything that has no glyph as an escape such as \\n or \\udcff."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(words))
