"""What can go wrong in provisioning."""


class ProvisionError(Exception):
    """The function cannot be provisioned.

    The message is one line that its author can act on; `details` are lines that explain it, such as pip's last ones.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details
