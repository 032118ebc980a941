# One classifier with one prompt set on one data set: embeddings become answers, without the model.
rule classify:
    input:
        images="<results>/datasets/{dataset}/images.parquet",
        samples="<results>/datasets/{dataset}/samples.parquet",
        perturbed=seen_records,
        embeddings=embeddings,
        texts=text_embeddings,
    output:
        "<results>/predictions/{run}/{dataset}.parquet",
    log:
        "<results>/logs/classify/{run}/{dataset}.log",
    wildcard_constraints:
        run=one_of(CLASSIFYING),
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        spec=classify_spec,
        code=fingerprint("medstress.models.classify"),
    script:
        "../../scripts/classify.py"
