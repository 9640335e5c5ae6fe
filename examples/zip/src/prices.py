"""A module of the function's own, which comes with it in the archive."""

CENTS = {"apple": 40, "pear": 55, "melon": 310}


def price_of(name: str) -> int:
    return CENTS[name.strip()]
