"""The function: the price of a basket."""

from prices import price_of


def basket(event, context):
    names = event["data"].decode().split(",")
    return {"names": names, "cents": sum(price_of(name) for name in names)}
