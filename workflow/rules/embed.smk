# One image encoder on one data set: every image is embedded once, whatever is asked about it afterwards.
rule embed:
    input:
        images="<results>/datasets/{dataset}/images.parquet",
        weights=model_files,
        tensors=trained_tensors,
        perturbed=seen_records,
    output:
        "<results>/embeddings/{encoder}/{dataset}.parquet",
    log:
        "<results>/logs/embed/{encoder}/{dataset}.log",
    wildcard_constraints:
        encoder=one_of(PROJECT.encoders),
    conda:
        model_environment
    threads: run_threads
    resources:
        gpu=run_gpus,
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        spec=embed_spec,
        code=embed_code,
        environment=own_environment,
        # Not an output: Snakemake deletes outputs before a job starts, and the journal is what a killed job left.
        journal=f"results/{STUDY.study}/journal/embed",
    script:
        "../../scripts/embed.py"
