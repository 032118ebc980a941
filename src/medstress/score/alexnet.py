"""Published errors of AlexNet, which corruption errors of benchmarks are relative to.

MedMNIST-C: balanced errors, means over five levels, from the code of Di Salvo et al., "MedMNIST-C: Comprehensive
benchmark and improved classifier robustness by simulating realistic image corruptions", 2024 (version 0.1.0).
ImageNet-C: plain errors on all of ImageNet-C, of Hendrycks and Dietterich, "Benchmarking neural network robustness to
common corruptions and perturbations", ICLR 2019; without the clean error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class AlexNet:
    """AlexNet's errors on one data set: clean, and by type the mean over five levels."""

    metric: Literal["accuracy", "balanced_accuracy"]
    clean: float | None
    types: Mapping[str, float]


def _balanced(clean: float, **types: float) -> AlexNet:
    return AlexNet("balanced_accuracy", clean, types)


ALEXNET: dict[str, AlexNet] = {
    "bloodmnist": _balanced(
        0.018369282094266692,
        pixelate=0.05975618949678589,
        jpeg=0.13976187053705183,
        defocus_blur=0.22399795597780647,
        motion_blur=0.1845192137218041,
        brightness_up=0.06946294328845175,
        brightness_down=0.0790077546902872,
        contrast_up=0.05215362284240639,
        contrast_down=0.07966068499560328,
        saturate=0.03478558170020538,
        stain_deposit=0.18536119379858546,
        bubble=0.12898833684644578,
    ),
    "breastmnist": _balanced(
        0.14536340852130336,
        pixelate=0.46127819548872184,
        jpeg=0.2986215538847118,
        speckle=0.38709273182957393,
        motion_blur=0.25902255639097743,
        brightness_up=0.3197994987468672,
        brightness_down=0.21127819548872181,
        contrast_down=0.15864661654135334,
    ),
    "chestmnist": _balanced(
        0.2839064387513035,
        pixelate=0.44895070087295996,
        jpeg=0.34575690815860566,
        gaussian_noise=0.47688317292098203,
        speckle=0.45687894795025785,
        impulse_noise=0.48553631547337917,
        shot_noise=0.4926966815396587,
        gaussian_blur=0.3176801263607164,
        brightness_up=0.2993721457134663,
        brightness_down=0.29711530406534037,
        contrast_up=0.28751004051276824,
        contrast_down=0.2954742427570406,
        gamma_up=0.287462117104012,
        gamma_down=0.2891642074561852,
    ),
    "dermamnist": _balanced(
        0.3985775597242611,
        pixelate=0.5105118313063095,
        jpeg=0.47716296678659287,
        gaussian_noise=0.770161396521756,
        speckle=0.7688784860204994,
        impulse_noise=0.7995552265467947,
        shot_noise=0.8391552104792783,
        defocus_blur=0.7008318467374395,
        motion_blur=0.6266414682428412,
        zoom_blur=0.5277668583085878,
        brightness_up=0.4473990148869178,
        brightness_down=0.5772968080812169,
        contrast_up=0.430415384126964,
        contrast_down=0.5398210493891896,
        black_corner=0.7591457853547467,
        characters=0.4461917314736283,
    ),
    "octmnist": _balanced(
        0.20199999999999996,
        pixelate=0.3124,
        jpeg=0.29640000000000005,
        speckle=0.386,
        defocus_blur=0.3084,
        motion_blur=0.4892,
        contrast_down=0.4196,
    ),
    "organamnist": _balanced(
        0.050053710403475504,
        pixelate=0.07589728744538755,
        jpeg=0.10233182799848468,
        gaussian_noise=0.558867512509986,
        speckle=0.5008977196696448,
        impulse_noise=0.6005122792556206,
        shot_noise=0.5704549211261293,
        gaussian_blur=0.23340661727240267,
        brightness_up=0.14763547790322412,
        brightness_down=0.2646445055204496,
        contrast_up=0.10977873034814234,
        contrast_down=0.1268424696095805,
        gamma_up=0.10360009998047674,
        gamma_down=0.10577092296366888,
    ),
    "organcmnist": _balanced(
        0.07596783210891289,
        pixelate=0.12161270665759313,
        jpeg=0.10754481922990186,
        gaussian_noise=0.5736544084235357,
        speckle=0.5130960298987614,
        impulse_noise=0.5997780092763433,
        shot_noise=0.5492477253691926,
        gaussian_blur=0.316895537101905,
        brightness_up=0.16011849294420644,
        brightness_down=0.2324271692594097,
        contrast_up=0.09991836613387597,
        contrast_down=0.15327395964015147,
        gamma_up=0.1426418229218433,
        gamma_down=0.12390902424472901,
    ),
    "organsmnist": _balanced(
        0.24300485476777922,
        pixelate=0.31259415418134306,
        jpeg=0.26996994867350865,
        gaussian_noise=0.5889124203738291,
        speckle=0.5450100158501043,
        impulse_noise=0.6010108858901404,
        shot_noise=0.5519125643755777,
        gaussian_blur=0.4466645657200248,
        brightness_up=0.3598501969979232,
        brightness_down=0.3592866403894267,
        contrast_up=0.2871702451645464,
        contrast_down=0.3128243336438499,
        gamma_up=0.30253196514691594,
        gamma_down=0.3116016263827458,
    ),
    "pathmnist": _balanced(
        0.08839299601334816,
        pixelate=0.20934201922262957,
        jpeg=0.24709267033930377,
        defocus_blur=0.4621259742146214,
        motion_blur=0.3689076534699618,
        brightness_up=0.41551581022730166,
        brightness_down=0.2811688318161528,
        contrast_up=0.2338925659881773,
        contrast_down=0.13718687818913905,
        saturate=0.3341143518079194,
        stain_deposit=0.24930831751137275,
        bubble=0.10818301335634566,
    ),
    "pneumoniamnist": _balanced(
        0.10085470085470083,
        pixelate=0.22102564102564104,
        jpeg=0.2798290598290598,
        gaussian_noise=0.4414529914529915,
        speckle=0.3457264957264957,
        impulse_noise=0.4581196581196581,
        shot_noise=0.4106837606837607,
        gaussian_blur=0.2730769230769231,
        brightness_up=0.14649572649572645,
        brightness_down=0.2782051282051282,
        contrast_up=0.09529914529914527,
        contrast_down=0.23743589743589744,
        gamma_up=0.09606837606837607,
        gamma_down=0.16641025641025642,
    ),
    "retinamnist": _balanced(
        0.5582064849927977,
        pixelate=0.6017003263074344,
        jpeg=0.6795223564688244,
        gaussian_noise=0.7040832524914012,
        speckle=0.6135258841167651,
        defocus_blur=0.6882905018079196,
        motion_blur=0.7075760943057883,
        brightness_down=0.5844791133844842,
        contrast_down=0.6092882382338243,
    ),
    "tissuemnist": _balanced(
        0.3917787199385978,
        pixelate=0.49272908707597907,
        jpeg=0.508070087070269,
        impulse_noise=0.7970869222746931,
        gaussian_blur=0.4805143361974326,
        brightness_up=0.4618274173802247,
        brightness_down=0.51981943234386,
        contrast_up=0.5026233641102424,
        contrast_down=0.5369342652194591,
    ),
    "imagenet_c": AlexNet(
        "accuracy",
        None,
        {
            "gaussian_noise": 0.886428,
            "shot_noise": 0.894468,
            "impulse_noise": 0.922640,
            "defocus_blur": 0.819880,
            "glass_blur": 0.826268,
            "motion_blur": 0.785948,
            "zoom_blur": 0.798360,
            "snow": 0.866816,
            "frost": 0.826572,
            "fog": 0.819324,
            "brightness": 0.564592,
            "contrast": 0.853204,
            "elastic": 0.646056,
            "pixelate": 0.717840,
            "jpeg": 0.606500,
        },
    ),
}
"""By data set; types as medstress calls them."""
