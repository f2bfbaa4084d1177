"""Names of effects: the same parts give the same name, so a repeated step repeats no effect."""

from hashlib import sha256

ID_CHARACTERS = 16


def op_id(*parts: object) -> str:
    """16 hex characters of SHA-256 over the named parts, in their order.

    >>> op_id("flight-delay", "incident-7", "train", 1)
    '124b9274474c37ea'
    >>> op_id("a", "bc") == op_id("ab", "c")
    False
    """
    # The length in front of each part keeps ("a", "bc") and ("ab", "c") apart.
    text = "".join(f"{len(part)}:{part}" for part in map(str, parts))
    return sha256(text.encode()).hexdigest()[:ID_CHARACTERS]
