# One run on one data set of captions: every distinct caption through an encoder of sentences, for caption_similarity.
rule embed_captions:
    input:
        samples="<results>/datasets/{dataset}/samples.parquet",
        predictions="<results>/predictions/{run}/{dataset}.parquet",
        encoder=encoder_files,
    output:
        "<results>/captions/{run}/{dataset}.parquet",
    log:
        "<results>/logs/embed_captions/{run}/{dataset}.log",
    wildcard_constraints:
        run=one_of(ANSWERING),
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        spec=embed_captions_spec,
        code=fingerprint("medstress.models.sentences"),
    script:
        "../../scripts/embed_captions.py"
