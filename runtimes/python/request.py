"""The request of `event['extensions']['request']`: flask's, with the names that Kubeless's (bottle) had beside them."""

import io
from typing import Any

from flask import Request
from werkzeug.datastructures import CombinedMultiDict, MultiDict


class FunctionRequest(Request):
    """A flask request that handlers written for Kubeless's Python runtime can use unchanged."""

    def get_header(self, name: str, default: str | None = None) -> str | None:
        """A header by name, in any case."""
        return self.headers.get(name, default)

    @property
    def query(self) -> MultiDict[str, str]:
        """The parameters of the URL."""
        return self.args

    @property
    def forms(self) -> MultiDict[str, str]:
        """The fields of a form."""
        return self.form

    @property
    def params(self) -> CombinedMultiDict[str, str]:
        """The parameters of the URL and the fields of a form."""
        return CombinedMultiDict([self.args, self.form])

    @property
    def body(self) -> Any:
        """The body as a file."""
        return io.BytesIO(self.get_data())
