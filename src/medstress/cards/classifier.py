"""Cards of classifiers: config/models/*.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from medstress.cards.learned import Learned
from medstress.cards.strict import Name, Strict

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class MajorityClass(Strict):
    """The share of each class in the train split as the answer to every image: what a model must beat."""

    name: Name
    title: str
    adapter: Literal["majority_class"]
    baseline: bool = True
    gpu: int = Field(0, ge=0, le=0, description="Needs no GPU.")


class _ImageText(Learned):
    """What every image-text model has: it is asked with the prompts of the study's `prompt_sets`."""


class Clip(_ImageText):
    """A CLIP (Radford et al., ICML 2021) in Hugging Face format."""

    adapter: Literal["clip"]
    weights: str = Field(
        description="Folder with config.json, model.safetensors, tokenizer and preprocessor_config.json; relative to "
        "the project."
    )
    sha256: _Sha256 | None = Field(None, description="Of model.safetensors, checked on loading.")


class OpenClip(_ImageText):
    """A CLIP in the hub format of open_clip, such as BiomedCLIP or OpenAI's ResNet-50. Needs medstress[clip]."""

    adapter: Literal["open_clip"]
    weights: str = Field(
        description="Folder with open_clip_config.json, open_clip_model.safetensors or open_clip_pytorch_model.bin, "
        "and the tokenizer; relative to the project."
    )
    sha256: _Sha256 | None = Field(None, description="Of the file of weights, checked on loading.")


class UniMedClip(_ImageText):
    """UniMed-CLIP (Khattak et al., arXiv 2412.10372), without its fork of open_clip. Needs medstress[clip]."""

    adapter: Literal["unimed_clip"]
    weights: str = Field(description="The .pt file, relative to the project.")
    sha256: _Sha256 | None = Field(None, description="Of the file, checked on loading.")
    vision: Literal["vit_b16", "vit_l14_336"] = Field("vit_b16", description="The image encoder, and its resolution.")
    text: str = Field(
        description="Folder with the BiomedBERT (base or large) tokenizer and config.json; relative to the project."
    )


class MedClip(_ImageText):
    """MedCLIP (Wang et al., EMNLP 2022). The ResNet-50 tower needs medstress[clip]."""

    adapter: Literal["medclip"]
    weights: str = Field(description="pytorch_model.bin of its release, relative to the project.")
    sha256: _Sha256 | None = Field(None, description="Of the file, checked on loading.")
    vision: Literal["swin", "resnet50"] = Field(
        "swin", description="The image encoder: what its authors call vit is a Swin."
    )
    text: str = Field(description="Folder with the tokenizer of Bio_ClinicalBERT (vocab.txt); relative to the project.")


class RobustMedClip(_ImageText):
    """RobustMedCLIP (Imam et al., arXiv 2505.15425): BiomedCLIP or MedCLIP's ResNet-50 with LoRA.

    The ResNet-50 needs medstress[clip].
    """

    adapter: Literal["robust_medclip"]
    weights: str = Field(
        description="Folder with model.pth and lora_weights.safetensors, or model.pth alone; relative to the project."
    )
    sha256: _Sha256 | None = Field(None, description="Of model.pth, checked on loading.")
    vision: Literal["vit", "resnet"] = Field("vit", description="vit: BiomedCLIP. resnet: MedCLIP's ResNet-50.")
    text: str = Field(description="Folder with the text encoder's tokenizer; relative to the project.")


class ImageClassifier(Learned):
    """A classifier without text, trained on the data set's classes in the card's order. Needs medstress[clip]."""

    adapter: Literal["image_classifier"]
    library: Literal["timm", "torchvision"] = Field(description="The package that has the architecture.")
    architecture: str = Field(description="Its name there, such as resnet50 or alexnet.")
    weights: str = Field(description="State dict: a .safetensors, .pth or .pt file, relative to the project.")
    sha256: _Sha256 | None = Field(None, description="Of the file, checked on loading.")
    side: int = Field(224, ge=16, le=1024, description="Images are resized to this square, bicubic, in pixels.")
    mean: Triple = Field((0.485, 0.456, 0.406), description="Subtracted from red, green and blue in 0..1.")
    std: Triple = Field((0.229, 0.224, 0.225), description="Then divided by this.")
    classes: list[str] = Field(min_length=2, description="Name of each output, in its order; checked against the data.")


ImageText = Clip | OpenClip | UniMedClip | MedClip | RobustMedClip
LearnedClassifier = Annotated[ImageText | ImageClassifier, Field(discriminator="adapter")]
