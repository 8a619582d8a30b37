"""SHA-256 digests, by which files and texts are known again."""

import hashlib
from pathlib import Path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, as hexadecimal digits.

    Example:
        >>> text_digest("simsc")[:12]
        '4cb36ac42ec2'
    """
    return hashlib.sha256(text.encode()).hexdigest()
