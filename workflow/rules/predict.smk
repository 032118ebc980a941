# One run on one data set: the model is loaded once and answers every perturbation and level.
rule predict:
    input:
        images="<results>/datasets/{dataset}/images.parquet",
        samples="<results>/datasets/{dataset}/samples.parquet",
        weights=model_files,
        tensors=trained_tensors,
        perturbed=seen_records,
    output:
        "<results>/predictions/{run}/{dataset}.parquet",
    log:
        "<results>/logs/predict/{run}/{dataset}.log",
    wildcard_constraints:
        run=one_of(SEGMENTING),
    conda:
        model_environment
    threads: run_threads
    resources:
        gpu=run_gpus,
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        spec=predict_spec,
        code=predict_code,
        environment=own_environment,
        # Not an output: Snakemake deletes outputs before a job starts, and the journal is what a killed job left.
        journal=f"results/{STUDY.study}/journal/predict",
    script:
        "../../scripts/predict.py"
