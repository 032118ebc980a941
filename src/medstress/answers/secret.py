"""A key from the environment, which shows itself to nobody but the server that it is for."""

import re
from collections.abc import Mapping
from typing import NoReturn

from medstress.errors import MedstressError


class Secret:
    """A key that no repr, message, log or pickle contains. Where a card names no variable there is none."""

    __slots__ = ("_value", "variable")

    def __init__(self, variable: str, environment: Mapping[str, str]) -> None:
        """Read a variable. Raises MedstressError where it is not set or cannot be a key."""
        self.variable = variable
        self._value = environment.get(variable, "").strip() if variable else ""
        if variable and not self._value:
            raise MedstressError(
                f"the environment has no {variable}, which the model's card names in key_variable. Put the key into "
                f"it: export {variable}=..."
            )
        if not re.fullmatch(r"[!-~]*", self._value):
            raise MedstressError(f"what is in {variable} cannot be a key: it has spaces or letters beyond ASCII.")

    def __repr__(self) -> str:
        return f"Secret({self.variable})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not stored")

    def headers(self, name: str, scheme: str) -> dict[str, str]:
        """The header that carries the key, or none."""
        return {name: f"{scheme}{self._value}"} if self._value else {}

    def hidden(self, text: str) -> str:
        """A text of the server without the key, should it say it back."""
        return text.replace(self._value, f"<{self.variable}>") if self._value else text

    def hidden_in_answer(self, text: str) -> str:
        """The same for answers, where a short key such as EMPTY may be a word."""
        return self.hidden(text) if len(self._value) >= 16 else text
