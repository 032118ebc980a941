# Predictions against the truth, which moves with the image.
rule score:
    input:
        images="<results>/datasets/{dataset}/images.parquet",
        samples="<results>/datasets/{dataset}/samples.parquet",
        perturbed=seen_records,
        attacked=attacked_answers,
        predictions="<results>/predictions/{run}/{dataset}.parquet",
        judged=judged_answers,
        embedded=embedded_captions,
    output:
        "<results>/scores/{run}/{dataset}.parquet",
    log:
        "<results>/logs/score/{run}/{dataset}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        spec=score_spec,
        code=score_code,
    script:
        "../../scripts/score.py"
