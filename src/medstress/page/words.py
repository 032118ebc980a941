"""What figures are called and what their captions say: under them on the page, and as what screen readers say."""

from typing import NamedTuple

from medstress.names import FigureName


class Words(NamedTuple):
    """Title and caption of a figure."""

    title: str
    caption: str


WORDS: dict[FigureName, Words] = {
    "severity_curves": Words(
        "Severity curves",
        "Score against severity level, one panel a data set, each with a range of its own. The point at clean is "
        "the mean of all objects; the point at a level is that mean less the mean paired drop at the level, over "
        "the objects that reach it, so that a curve does not move because other objects are left out. Solid lines:"
        " types calibrated by SSIM. Thin dashed lines: types marked †, with strengths of a table instead of SSIM "
        "bands; they are solid where a study has no others. Baselines are grey. Bands, of solid lines in panels of"
        " up to three runs, are intervals of the paired drop, from a bootstrap of groups widened for few groups, "
        "where there are enough of them; they start at nothing at clean. A level without scores is a gap. Of a "
        "strategy all seeds count. Perturbed scores count only pixels that still show the scene, clean scores the "
        "whole object. Of more data sets than a page holds the first of each task are shown.",
    ),
    "image_grid": Words(
        "Images at every level",
        "Up to six perturbations at every level, around one object, with the outlines of the truth and of the "
        "answers of up to four runs: models first, then baselines, and strategies (the first seed) where no other "
        "model is shown. SSIM is that of the whole image; cells marked unreachable are left out of all means. † "
        "marks strengths of a table instead of SSIM bands.",
    ),
    "robustness_scatter": Words(
        "Robustness against performance",
        "Robustness against performance, one panel a data set, one mark a run: mean paired drop over all types and"
        " levels against the clean score. Bars are intervals of each alone, from a bootstrap of groups widened for"
        " few groups, where there are enough of them. Baselines are grey and hollow. Marks that would hide each "
        "other are set apart sideways, by a mark's width. Best is low and right; for distances and calibration "
        "errors low and left. Of more data sets than a page holds the first of each task are shown.",
    ),
    "strategy_ranking": Words(
        "Ranking of strategies",
        "Strategies of adapting, and what they start from, in the order of their mean paired drop over all types "
        "and levels; best above. Beside it the clean score. Bars are intervals from a bootstrap of groups widened "
        "for few groups; strokes are the seeds of a strategy that has several. Ranks whose intervals overlap may "
        "be chance.",
    ),
    "top_perturbations": Words(
        "What costs most",
        "The 15 types with the largest mean paired drop, one panel a task. A bar is the mean over runs (baselines "
        "do not count) and data sets that have the type, each weighing the same; each of these means is a dot. A "
        "type that belongs to a modality is averaged over other data sets than the rest, so neighbours may differ "
        "by what they were measured on: (1 of 4) says that one of four data sets has the type. † marks strengths "
        "of a table instead of SSIM bands.",
    ),
    "heat_map": Words(
        "Runs under every type",
        "Mean paired drop of every run under every type, over reachable levels; red loses and blue gains, on one "
        "scale a task. Scores up to 1 are in percentage points. Baselines do not count for the scale; a frame "
        "marks what is beyond it. Grey cells: the type is not made for the data set. A cross: it is, and no score "
        "of it counts. † marks strengths of a table instead of SSIM bands. Of more data sets than a page holds the"
        " first are shown.",
    ),
    "radar": Words(
        "Scores by modality",
        "Mean score by modality, over all data sets of the task that have it, on clean and on perturbed images; "
        "both are of the same pairs. Spokes are not rescaled. Left out are modalities with fewer than three "
        "images, runs that have scores of fewer than three of the others, and tasks without such runs. Baselines "
        "are grey.",
    ),
    "calibration_quality": Words(
        "Quality of the calibration",
        "Left: SSIM of the stored images of all data sets together, by type and level: median, and 5th to 95th "
        "percentile. Shaded: the band of each level. Hollow: types marked †, with strengths of a table instead of "
        "SSIM bands. Right: share of images that no strength brings into the band; they are stored as close as it "
        "comes and left out of all means.",
    ),
    "failure_gallery": Words(
        "Largest drops",
        "The pairs with the largest drops, no sample twice, and no type twice while others are left; of equal "
        "drops those at lower levels first. Up to nine, of each task in turn, as many as a page holds. Baselines "
        "are left out. Outlines and frames are the truth and the answer; other answers are in words. † marks "
        "strengths of a table instead of SSIM bands.",
    ),
    "adversarial_curves": Words(
        "Adversarial curves",
        "Score against the radius of white-box attacks, each run against its own gradients; 0 is the clean image. "
        "A point is the clean mean less the mean paired drop. Bars, for up to three runs and set apart sideways, "
        "are intervals of the drop. The panels of a data set share a range. An attack is a lower bound of the "
        "damage that its ball allows.",
    ),
    "flip_matrix": Words(
        "Right and wrong, clean and perturbed",
        "Pairs of a clean and a perturbed answer to one sample by whether each is right, over all reachable cells "
        "and all seeds: counts, and shares of all pairs of the run. Where several labels are asked at once, an "
        "answer is right if all are. Left out are baselines, and runs that are never right about a clean image.",
    ),
}
