"""What an error of a server means, and how long to wait before the next try. The only layer that tries again."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import numpy as np

from medstress.answers.wire import Complaint, Trouble

_AGAIN = {408, 409, 425, 429}
# A proxy, or the server, has stopped waiting for a model that may go on to answer.
_PERHAPS_PAID = {408, 502, 504, *range(520, 525)}


@dataclass(frozen=True)
class Patience:
    """How much a server may fail before it is left alone.

    tries: of one ask that broke. limited_tries: of one ask that the server put off. first_wait, longest_wait: seconds
    of backoff. longest_asked: the longest pause in seconds that a server may ask for before the run stops.
    failures: asks in a row that fail before the run stops.
    """

    tries: int = 6
    limited_tries: int = 40
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 600.0
    failures: int = 10

    def wait(self, tried: int, asked: float | None, rng: np.random.Generator) -> float:
        """Seconds before the next try after `tried` failed ones.

        Between half and all of a time that doubles with every try, or what the server asks for and a little more, so
        that those who were refused together do not come back together.
        """
        grown = min(self.longest_wait, self.first_wait * 2.0 ** min(tried - 1, 30))
        drawn = float(rng.uniform(0.5, 1.0)) * grown
        return drawn if asked is None else asked + drawn * 0.1


def trouble_of(status: int, headers: Mapping[str, str], complaint: Complaint, variable: str) -> Trouble:
    """What an error reply means. `variable` is the environment variable of the key, "" for none."""
    said = f" ({complaint.message})" if complaint.message else ""
    reason = f"the server answers {status}{said}"
    if complaint.exhausted:
        return Trouble(f"{reason}: the quota or balance is used up. Run again when there is more.", "stop")
    if status == 401:
        key = f"the key in {variable} is refused" if variable else "a key is wanted: name its variable in key_variable"
        return Trouble(f"{reason}: {key}.", "stop")
    if status == 404:
        return Trouble(f"{reason}: look at base_url and model in the card.", "stop")
    if complaint.setting:
        return Trouble(
            f"{reason}: set in the card what the model accepts, such as temperature: null or token_parameter: "
            "max_completion_tokens.",
            "stop",
        )
    if status in _AGAIN or status >= 500:
        asked = retry_after(headers)
        wait = complaint.wait if asked is None else asked
        limited = status == 429 or wait is not None
        paid = status in _PERHAPS_PAID
        return Trouble(reason, "again", wait, crowded=status in (429, 503), limited=limited, perhaps_paid=paid)
    return Trouble(reason, "never")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds from now: a number or a date (RFC 9110, 10.2.3); or OpenAI's own, in milliseconds."""
    milliseconds, header = headers.get("retry-after-ms", ""), headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}", milliseconds):
        return int(milliseconds) / 1000
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header):  # whole seconds by the standard; some send parts
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
