"""A question and its image as the network reads them."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from jinja2 import TemplateError
from PIL import Image as Pillow
from PIL import ImageOps

from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.pixels import decode_png


class Writer:
    """Writes prompts as a model was trained to read them, by its chat template or by the card's layout."""

    def __init__(self, processor: Any, card: LocalVlm) -> None:
        self._processor = processor
        self._card = card
        self._image_token: str | None = getattr(processor, "image_token", None)

    def check(self, prompt: str) -> None:
        """Raise MedstressError where a prompt holds what the model takes for an image."""
        if self._image_token and self._image_token in prompt:
            raise MedstressError(
                f"the question holds {self._image_token!r}, which the model takes for an image. Write it otherwise."
            )

    def text(self, prompt: str, *, image: bool) -> str:
        """What the model reads, up to where its answer begins. Raises MedstressError where the template will not."""
        card = self._card
        if card.template == "plain":
            layout = card.layout if image else card.layout.replace("{image}\n", "").replace("{image}", "")
            # In this order, so that braces in a question stay what they are.
            before, _, after = layout.partition("{prompt}")
            token = self._image_token or ""
            written: str = before.replace("{image}", token) + prompt + after.replace("{image}", token)
            return written
        try:
            text: str = self._processor.apply_chat_template(
                self._conversation(prompt, image=image), add_generation_prompt=True, tokenize=False
            )
        except (TemplateError, TypeError) as error:
            raise MedstressError(
                f"model card {card.name}: the chat template refuses the conversation ({error}). "
                + ("Leave out `system`, or write" if card.system else "Write")
                + " `template: plain` and the model's own prompt format in `layout`."
            ) from error
        return text

    def _conversation(self, prompt: str, *, image: bool) -> list[dict[str, Any]]:
        content = [{"type": "image"}] * image + [{"type": "text", "text": prompt}]
        system = [{"role": "system", "content": [{"type": "text", "text": self._card.system}]}]
        return [*(system if self._card.system else []), {"role": "user", "content": content}]

    def reply(self, prompt: str, answer: str, *, image: bool) -> str:
        """What follows `text` where the model gives this answer.

        That is what the chat template writes of it, ends included, or the answer behind a space where the template
        writes no answers, or there is none.
        """
        before = self.text(prompt, image=image)
        if self._card.template == "chat":
            # Some templates take a text for what the model said, and some a list of parts.
            for content in ([{"type": "text", "text": answer}], answer):
                said = {"role": "assistant", "content": content}
                try:
                    whole: str = self._processor.apply_chat_template(
                        [*self._conversation(prompt, image=image), said], tokenize=False
                    )
                except (TemplateError, TypeError):
                    continue
                if whole.startswith(before) and whole[len(before) :].lstrip().startswith(answer):
                    return whole[len(before) :]
        return answer if before[-1:].isspace() else f" {answer}"

    def inputs(self, prompts: Sequence[str], pictures: Sequence[Any]) -> Any:
        """The network's inputs for prompts with one picture each, or for prompts with none, padded at the left.

        Raises MedstressError where the prompt begins twice, which a template and a tokenizer together may do.
        """
        texts = [self.text(prompt, image=bool(pictures)) for prompt in prompts]
        shown = {"images": [[one] for one in pictures]} if pictures else {}
        inputs = self._processor(
            text=texts, padding=True, return_tensors="pt", add_special_tokens=not self._begin(texts), **shown
        )
        self._check_beginning(inputs["input_ids"].tolist())
        return inputs

    def tokens(self, texts: Collection[str]) -> dict[str, list[int]]:
        """The tokens of texts in which each image's token is replaced already. Raises as `inputs` does."""
        if not texts:
            return {}
        some = list(texts)
        rows = self._processor.tokenizer(some, add_special_tokens=not self._begin(some))["input_ids"]
        self._check_beginning(rows)
        return dict(zip(some, rows, strict=True))

    def _begin(self, texts: Sequence[str]) -> bool:
        begin = self._processor.tokenizer.bos_token
        return bool(begin) and texts[0].startswith(begin)

    def _check_beginning(self, rows: Sequence[Sequence[int]]) -> None:
        words = self._processor.tokenizer
        if words.bos_token_id in (None, words.pad_token_id, words.eos_token_id):
            return
        most = max(row.count(words.bos_token_id) for row in rows)
        if most > 1:
            raise MedstressError(
                f"model card {self._card.name}: the prompt begins {most} times with {words.bos_token!r}. Leave it "
                "out of `layout`, or take the chat template of the model's source."
            )


def picture(png: bytes, processor: Any, *, pad: bool) -> Pillow.Image:
    """The RGB picture of a stored image; `pad` makes it a square around its middle, in the processor's mean colour.

    Raises MedstressError where the bytes are no PNG.
    """
    shown = Pillow.fromarray(decode_png(png, where="the image")).convert("RGB")
    if not pad:
        return shown
    mean = getattr(processor.image_processor, "image_mean", None) or (0.5, 0.5, 0.5)
    red, green, blue = (int(value) for value in np.floor(np.asarray(mean) * 255))
    side = max(shown.size)
    return ImageOps.pad(shown, (side, side), color=(red, green, blue))
