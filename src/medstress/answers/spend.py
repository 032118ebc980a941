"""Tokens and money of a run, and a limit that holds before it is passed.

Before a request leaves, the most that it can cost is reserved. What is spent, what is reserved and what may have been
charged without an answer never exceed the limit together.
"""

from dataclasses import dataclass

from medstress.answers.ask import Answer, Ask

_TEMPLATE_TOKENS = 64
"""More than the roles and separators around two messages take."""


@dataclass(frozen=True)
class Prices:
    """Per million tokens in and out, in any currency; the most tokens that one image is counted as."""

    tokens_in: float = 0.0
    tokens_out: float = 0.0
    image_tokens: int = 0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """The price of a request."""
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / 1e6


@dataclass(frozen=True)
class Bill:
    """What a run took, with what earlier processes of the run did.

    cost: of answers, in the card's currency. uncertain: the most that requests can have cost of which nobody knows
    whether they were answered.
    """

    answers: int
    tokens_in: int
    tokens_out: int
    cost: float
    uncertain: float


class Spend:
    """The running bill. `limit` None is no limit."""

    def __init__(self, prices: Prices, system: str, max_output_tokens: int, limit: float | None) -> None:
        self.limit = limit
        self._prices, self._system, self._most_out = prices, len(system.encode()), max_output_tokens
        self._answers = self._tokens_in = self._tokens_out = 0
        self._cost = self._uncertain = self._reserved = 0.0
        self._flying = 0
        self._beyond_in = self._beyond_out = 0

    @property
    def flying(self) -> int:
        """Requests with a reservation."""
        return self._flying

    def worst(self, ask: Ask) -> float:
        """The most that a request can cost: a token is at least one byte of text.

        Where a server once counted more tokens than that, its excess is added ever after.
        """
        return self._prices.cost(self._most_in(ask) + self._beyond_in, self._most_out + self._beyond_out)

    def reserve(self, cost: float) -> bool:
        """Set an amount aside, if it is there."""
        if self.limit is not None and self._cost + self._uncertain + self._reserved + cost > self.limit:
            return False
        self._reserved += cost
        self._flying += 1
        return True

    def settle(self, reserved: float, ask: Ask, answer: Answer) -> None:
        """Replace a reservation by what the answer cost."""
        self._free(reserved)
        self.book(ask, answer)

    def drop(self, reserved: float, *, perhaps_paid: bool) -> None:
        """End a reservation whose request brought no answer."""
        self._free(reserved)
        if perhaps_paid:
            self._uncertain += reserved

    def book(self, ask: Ask, answer: Answer) -> None:
        """Count an answer. Tokens that the server does not tell are taken at their most."""
        tokens_in = self._most_in(ask) if answer.tokens_in is None else answer.tokens_in
        tokens_out = self._most_out if answer.tokens_out is None else answer.tokens_out
        self._beyond_in = max(self._beyond_in, tokens_in - self._most_in(ask))
        self._beyond_out = max(self._beyond_out, tokens_out - self._most_out)
        self._answers += 1
        self._tokens_in += answer.tokens_in or 0
        self._tokens_out += answer.tokens_out or 0
        self._cost += self._prices.cost(tokens_in, tokens_out)

    def book_uncertain(self, ask: Ask, requests: int) -> None:
        """Count requests of earlier processes that may have been answered."""
        self._uncertain += requests * self.worst(ask)

    def bill(self) -> Bill:
        """What was spent so far."""
        return Bill(self._answers, self._tokens_in, self._tokens_out, self._cost, self._uncertain)

    def _most_in(self, ask: Ask) -> int:
        image = 0 if ask.image is None else self._prices.image_tokens
        return self._system + len(ask.prompt.encode()) + _TEMPLATE_TOKENS + image

    def _free(self, reserved: float) -> None:
        self._flying -= 1
        self._reserved = self._reserved - reserved if self._flying else 0.0
