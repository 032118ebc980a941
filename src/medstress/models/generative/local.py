"""local_vlm: any vision-language model in Hugging Face format, asked in batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL.Image import Image as Picture
from transformers import GenerationConfig

from medstress.answers.ask import Answer, Ask, Failure
from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.models.generative.folder import load_network, load_peft, load_processor
from medstress.models.generative.images import ImageEncoder, Shown, TogetherError
from medstress.models.generative.prompt import Writer, picture
from medstress.models.generative.tokens import read_answer, thinking_marks
from medstress.models.precision import precision_of
from medstress.models.torch_device import torch_device

FIRST_BATCH = 64
"""Where `batch: auto` begins."""
WINDOW = 128
"""Images whose features are kept at a time; the questions about them are sorted together."""

_Numbered = tuple[int, Ask]
_Found = tuple[int, Answer | Failure]
_One = TypeVar("_One")
_Other = TypeVar("_Other")


class LocalGenerator:
    """A Generator (see medstress.answers.ask) on this machine: greedy, and an image goes through its encoder once.

    That is once for all the questions about it where the network allows it (see ImageEncoder), else once for each.
    Questions are sorted by length and padded at the left, so in fp32 an answer does not depend on its batch. Those
    asked without an image are batched apart and never reach the image encoder.
    """

    def __init__(self, network: Any, processor: Any, card: LocalVlm, ends: frozenset[int]) -> None:
        self.network = network
        self.processor = processor
        self.card = card
        self.batch = FIRST_BATCH if card.batch == "auto" else card.batch
        self._writer = Writer(processor, card)
        self._images = ImageEncoder(network, processor)
        self._marks = thinking_marks(processor.tokenizer) if card.strip_thinking else ()
        self.ends = ends
        self._longest = getattr(network.config.get_text_config(), "max_position_embeddings", None)

    def answer(self, asks: Sequence[Ask]) -> Iterator[_Found]:
        """Each ask's number with its answer, the longest questions first among those about WINDOW images.

        A picture that cannot be read is a failure, and so is a question longer than what the model reads. Raises
        MedstressError where the GPU's memory does not hold a batch.
        """
        seen: list[_Numbered] = []
        blind: list[_Numbered] = []
        for number, ask in enumerate(asks):
            try:
                self._writer.check(ask.prompt)
            except MedstressError as error:
                yield number, Failure(str(error))
            else:
                (seen if self.card.image and ask.image is not None else blind).append((number, ask))
        for window in _windows(seen):
            try:
                yield from self._sharing(window)
            except TogetherError:
                yield from self._together(window, image=True)
        yield from self._together(blind, image=False)

    def _sharing(self, asked: Sequence[_Numbered]) -> Iterator[_Found]:
        """Answers about images that are encoded first. Raises TogetherError before any where that is not to be had."""
        if not self._images.apart:
            raise TogetherError
        shown: dict[bytes | None, Shown | Failure] = {}
        for pngs, encoded in self._in_batches(list({ask.image: None for _, ask in asked}), self._encoded):
            shown.update(zip(pngs, encoded, strict=True))
        written = {prompt: self._writer.text(prompt, image=True) for prompt in {ask.prompt for _, ask in asked}}
        rows: list[tuple[int, str, Shown]] = []
        failed: list[_Found] = []
        for number, ask in asked:
            one = shown[ask.image]
            if isinstance(one, Failure):
                failed.append((number, one))
            else:
                rows.append((number, written[ask.prompt].replace(self.processor.image_token, one.words), one))
        tokens = self._writer.tokens({text for _, text, _ in rows})
        if rows and not self._images.checked:
            number, text, image = rows[0]
            first = dict(asked)[number]
            whole = self._writer.inputs([first.prompt], [self._read(first.image or b"")])
            self._images.check(tokens[text], image, whole)
        yield from failed
        # The same questions side by side: their answers are of like length, too.
        rows.sort(key=lambda row: (-len(tokens[row[1]]), row[1]))

        def answers(some: Sequence[tuple[int, str, Shown]]) -> list[Answer | Failure]:
            return self._generate(self._images.inputs([tokens[text] for _, text, _ in some], [one for *_, one in some]))

        for some, found in self._in_batches(rows, answers):
            yield from zip((number for number, *_ in some), found, strict=True)

    def _encoded(self, pngs: Sequence[bytes | None]) -> list[Shown | Failure]:
        read = [self._read(png or b"") for png in pngs]
        pictures = [one for one in read if not isinstance(one, Failure)]
        encoded = iter(self._images.encode(pictures) if pictures else ())
        return [one if isinstance(one, Failure) else next(encoded) for one in read]

    def _together(self, asked: Sequence[_Numbered], *, image: bool) -> Iterator[_Found]:
        """Answers about pixels that are given with every question, or about no image at all."""
        tokens = self.processor.tokenizer([ask.prompt for _, ask in asked])["input_ids"] if asked else []
        order = sorted(range(len(asked)), key=lambda place: (-len(tokens[place]), asked[place][1].prompt))

        def answers(some: Sequence[_Numbered]) -> list[Answer | Failure]:
            read = {ask.image: self._read(ask.image or b"") for _, ask in some} if image else {}
            failed = {png: one for png, one in read.items() if isinstance(one, Failure)}
            whole = [ask for _, ask in some if ask.image not in failed]
            said: Iterator[Answer | Failure] = iter(())
            if whole:
                given = self._writer.inputs([ask.prompt for ask in whole], [read[ask.image] for ask in whole if image])
                said = iter(self._generate(given.to(self.network.device, dtype=self.network.dtype)))
            return [failed[ask.image] if ask.image in failed else next(said) for _, ask in some]

        for some, found in self._in_batches([asked[place] for place in order], answers):
            yield from zip((number for number, _ in some), found, strict=True)

    def _read(self, png: bytes) -> Picture | Failure:
        try:
            return picture(png, self.processor, pad=self.card.pad_square)
        except MedstressError as error:
            return Failure(str(error))

    def _in_batches(
        self, items: Sequence[_One], run: Callable[[Sequence[_One]], Sequence[_Other]]
    ) -> Iterator[tuple[Sequence[_One], Sequence[_Other]]]:
        """Batches and what a function makes of them; where a GPU's memory runs out, it gets fewer from there on."""
        place = 0
        while place < len(items):
            batch = items[place : place + self.batch]
            try:
                made = run(batch)
            except torch.OutOfMemoryError:
                self._smaller_batch(len(batch))
                continue
            yield batch, made
            place += len(batch)

    def _smaller_batch(self, failed: int) -> None:
        if self.card.batch != "auto" or failed == 1:
            more = (
                "Take a GPU with more memory, or several: `gpu: 2`." if failed == 1 else "Write `batch: auto`, or less."
            )
            raise MedstressError(
                f"model card {self.card.name}: the GPU's memory ran out with {failed} questions at a time. {more}"
            )
        torch.cuda.empty_cache()
        self.batch = failed // 2

    @torch.inference_mode()
    def _generate(self, inputs: Mapping[str, Any]) -> list[Answer | Failure]:
        words = self.processor.tokenizer
        generated = self.network.generate(**inputs)[:, inputs["input_ids"].shape[1] :].tolist()
        lengths = inputs["attention_mask"].sum(1).tolist()
        return [
            Failure(
                f"the question has {length} tokens, more than the {self._longest} that the model reads. Shorten it."
            )
            if self._longest is not None and length > self._longest  # beyond these it answers without a warning
            else read_answer(tokens, length, words, self.ends, self._marks)
            for tokens, length in zip(generated, lengths, strict=True)
        ]


def _windows(asked: Sequence[_Numbered]) -> Iterator[list[_Numbered]]:
    window: list[_Numbered] = []
    images: set[bytes | None] = set()
    for number, ask in asked:
        if len(images) == WINDOW and ask.image not in images:
            yield window
            window, images = [], set()
        window.append((number, ask))
        images.add(ask.image)
    if window:
        yield window


def load(card: LocalVlm, root: Path = Path()) -> LocalGenerator:
    """The model of a card, whose folders are relative to `root`. Sets the number of threads of torch in this process.

    Raises MedstressError where a folder does not hold what the card means, and where the device is not there.
    """
    where = f"model card {card.name}: weights {card.weights!r}"
    device = torch_device(card.device, card=card.name)
    dtype = precision_of(card, device).format or torch.float32
    spread = _spread(card, device)
    torch.set_num_threads(card.threads)
    folder = root / card.weights
    network = load_network(card, folder, where, dtype, "auto" if spread else None)
    processor = load_processor(card, folder, where)
    if spread:
        if off := sorted({str(place) for place in network.hf_device_map.values()} & {"cpu", "disk"}):
            raise MedstressError(
                f"model card {card.name}: {card.gpu} GPUs do not hold the model; a part of it would lie on the "
                f"{' and the '.join(off)}. Ask for more with `gpu`, or write `precision: bf16`."
            )
    else:
        network.to(device)
    # Before the adapter, whose own settings do not reach the network below it.
    ends = _greedy(network, processor.tokenizer, card.max_new_tokens)
    if card.peft is not None:
        network = load_peft(network, root / card.peft, f"model card {card.name}: peft {card.peft!r}")
    return LocalGenerator(network, processor, card, ends)


def _spread(card: LocalVlm, device: torch.device) -> bool:
    """Whether layers go to several GPUs. Raises MedstressError where there are fewer than the card says."""
    if device.type != "cuda" or card.gpu < 2:
        return False
    if (there := torch.cuda.device_count()) < card.gpu:
        raise MedstressError(
            f"model card {card.name}: gpu is {card.gpu}, but PyTorch sees {there} here. Run on a machine with as many, "
            "or write a smaller number."
        )
    return True


def _greedy(network: Any, words: Any, longest: int) -> frozenset[int]:
    """Make a network answer greedily and with nothing else that its folder asks for; the tokens that end an answer."""
    said = network.generation_config.eos_token_id
    ends = said if isinstance(said, list) else [words.eos_token_id if said is None else said]
    network.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        max_new_tokens=longest,
        eos_token_id=ends,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
    )
    return frozenset(ends)
