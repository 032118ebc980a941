# One run on one data set, attacked with its own gradients: every attack and level.
rule attack:
    input:
        images="<results>/datasets/{dataset}/images.parquet",
        samples="<results>/datasets/{dataset}/samples.parquet",
        weights=model_files,
        tensors=trained_tensors,
    output:
        **KEPT_IMAGES,
        answers="<results>/attacked/{run}/{dataset}.parquet",
    log:
        "<results>/logs/attack/{run}/{dataset}.log",
    conda:
        model_environment
    threads: run_threads
    resources:
        gpu=run_gpus,
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        spec=attack_spec,
        code=attack_code,
        environment=own_environment,
        # Not an output: Snakemake deletes outputs before a job starts, and the journal is what a killed job left.
        journal=f"results/{STUDY.study}/journal/attack",
    script:
        "../../scripts/attack.py"
