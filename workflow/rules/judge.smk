# One judge on the answers of one run to one data set: every distinct answer is graded once, without the image.
rule judge:
    input:
        samples="<results>/datasets/{dataset}/samples.parquet",
        predictions="<results>/predictions/{run}/{dataset}.parquet",
        weights=model_files,
    output:
        "<results>/judged/{judge}/{run}/{dataset}.parquet",
    log:
        "<results>/logs/judge/{judge}/{run}/{dataset}.log",
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
        spec=judge_spec,
        code=judge_code,
        environment=own_environment,
        # Not an output: Snakemake deletes outputs before a job starts, and the journal is what a killed job left.
        journal=f"results/{STUDY.study}/journal/judge",
    script:
        "../../scripts/judge.py"
