# Every text that the study asks one image-text model, encoded once, whatever the data set or prompt set.
rule embed_texts:
    input:
        weights=model_files,
    output:
        "<results>/texts/{model}.parquet",
    log:
        "<results>/logs/embed_texts/{model}.log",
    wildcard_constraints:
        model=one_of(PROJECT.image_text_models),
    conda:
        model_environment
    threads: run_threads
    resources:
        gpu=run_gpus,
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        spec=embed_texts_spec,
        code=embed_texts_code,
        environment=own_environment,
    script:
        "../../scripts/embed_texts.py"
