# Raw files and a card become images and samples.
rule prepare_dataset:
    input:
        fetched=fetched_files,
        sheet=own_sheet,
    output:
        images="<results>/datasets/{dataset}/images.parquet",
        samples="<results>/datasets/{dataset}/samples.parquet",
    log:
        "<results>/logs/prepare_dataset/{dataset}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        spec=prepare_spec,
        code=fingerprint("medstress.datasets.prepare"),
    script:
        "../../scripts/prepare_dataset.py"
