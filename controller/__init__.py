"""The function controller: what is made of a Function, and how that is reported."""
