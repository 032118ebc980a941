# One run on one data set: a model that answers in words is asked every question in every cell.
rule answer:
    input:
        images="<results>/datasets/{dataset}/images.parquet",
        samples="<results>/datasets/{dataset}/samples.parquet",
        weights=model_files,
        tensors=trained_tensors,
        perturbed=seen_records,
    output:
        "<results>/predictions/{run}/{dataset}.parquet",
    log:
        "<results>/logs/answer/{run}/{dataset}.log",
    wildcard_constraints:
        run=one_of(ANSWERING),
    conda:
        model_environment
    threads: run_threads
    resources:
        gpu=run_gpus,
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        spec=answer_spec,
        code=answer_code,
        environment=own_environment,
        # Not an output: Snakemake deletes outputs before a job starts, and the journal is what a killed job left.
        journal=f"results/{STUDY.study}/journal/answer",
    script:
        "../../scripts/answer.py"
