"""The names that studies, records and messages share."""

from typing import Literal

Modality = Literal[
    "dermoscopy",
    "mri",
    "ct",
    "xray",
    "ultrasound",
    "endoscopy",
    "fundus",
    "oct",
    "pathology",
    "microscopy",
    "angiography",
]
Split = Literal["train", "val", "test"]
GenerationTask = Literal["vqa", "captioning", "grounding"]
"""Tasks whose answers are words: questions, captions, and boxes that are written as numbers."""
Task = Literal["segmentation", "classification", GenerationTask]
PerturbationName = Literal[
    "gaussian_noise",
    "salt_and_pepper",
    "speckle",
    "gaussian_blur",
    "motion_blur",
    "brightness",
    "contrast",
    "jpeg",
    "pixelate",
    "rotation",
    "scaling",
    "translation",
    "vignette",
    "light_reflection",
    "hair",
    "mri_motion",
    "mri_bias_field",
    "mri_ghosting",
    "us_acoustic_shadow",
    "us_reverberation",
    "endo_specular",
    "endo_bubbles",
    "endo_blood",
    "endo_overexposure",
    "oct_shadow",
    "oct_blink",
    "oct_row_motion",
    "oct_defocus",
    "oct_speckle",
    "path_stain",
    "path_bubbles",
    "ct_metal_streaks",
    "ct_beam_hardening",
    "ct_photon_starvation",
    "xray_scatter",
    "xray_underexposure",
    "xray_overexposure",
    "xray_grid",
    "window_level",
    "angio_haze",
    "fundus_illumination",
    "fundus_haze",
    "fundus_spots",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "zoom_blur",
    "fog",
    "frost",
    "snow",
    "elastic",
    "saturate",
    "spatter",
]
PublishedName = Literal[
    "brightness_up",
    "brightness_down",
    "contrast_up",
    "contrast_down",
    "gamma_up",
    "gamma_down",
    "stain_deposit",
    "bubble",
    "black_corner",
    "characters",
    "compound",
]
"""Types that exist only at the fixed strengths of a published scale."""
TypeName = Literal[PerturbationName, PublishedName]
ScaleName = Literal[
    "ssim", "medfm_robust", "imagenet_c", "imagecorruptions", "cifar_c", "medmnist_c", "medimeta_c", "sure_vqa"
]
TableName = Literal[
    "segmentation_main",
    "segmentation_perturbations",
    "segmentation_levels",
    "segmentation_strategies",
    "segmentation_adversarial",
    "segmentation_transfer",
    "segmentation_prompts",
    "segmentation_top",
    "segmentation_groups",
    "classification_main",
    "classification_corruptions",
    "classification_fewshot",
    "vqa_main",
    "vqa_levels",
    "captioning_main",
    "captioning_levels",
    "grounding_main",
    "grounding_levels",
    "vqa_shifts",
    "judge_agreement",
    "published_summary",
    "published_by_level",
    "claims",
    "uncertainty",
    "severity_matched",
    "published_numbers",
    "comparisons",
    "ranking",
    "trainable_parameters",
    "calibration",
]
FigureName = Literal[
    "severity_curves",
    "image_grid",
    "robustness_scatter",
    "strategy_ranking",
    "top_perturbations",
    "heat_map",
    "radar",
    "calibration_quality",
    "failure_gallery",
    "adversarial_curves",
    "flip_matrix",
]
MetricName = Literal["iou", "dice", "hd95", "nsd"]
"""Of segmentation."""
ClassMetricName = Literal["accuracy", "balanced_accuracy", "auroc", "ece", "qwk"]
"""Of classification."""
VqaMetricName = Literal[
    "closed_accuracy",
    "closed_flip",
    "open_exact_match",
    "open_precision",
    "open_recall",
    "open_f1",
    "open_flip",
]
"""Of questions: closed ones, which offer options, and open ones."""
JudgeMetricName = Literal["judge_open", "judge_closed"]
"""Of questions, where the study has a judge."""
CaptionMetricName = Literal["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"]
"""Of captions."""
SimilarityMetricName = Literal["caption_similarity"]
"""Of captions, where the study has an encoder of sentences."""
GroundingMetricName = Literal["box_iou", "accuracy_50", "accuracy_75"]
"""Of boxes: IoU, and whether it is at least .5 and .75."""
