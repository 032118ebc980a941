# One model adapted to one training set with one strategy and one seed.
rule finetune:
    input:
        images=train_images,
        samples=train_samples,
        weights=model_files,
    output:
        tensors="<results>/checkpoints/{run}/trained.safetensors",
        training="<results>/checkpoints/{run}/training.json",
    log:
        "<results>/logs/finetune/{run}.log",
    conda:
        model_environment
    threads: run_threads
    resources:
        gpu=run_gpus,
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        spec=finetune_spec,
        code=finetune_code,
        environment=own_environment,
        # Not an output: Snakemake deletes outputs before a job starts, and the state is what a killed job left.
        journal=f"results/{STUDY.study}/journal/finetune",
    script:
        "../../scripts/finetune.py"
