# Raw files from where a card says, or from a mirror. A folder that is there already is left as it is.
rule fetch_dataset:
    output:
        "downloads/datasets/{dataset}/.fetched.json",
    log:
        "<results>/logs/fetch_dataset/{dataset}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        spec=fetch_dataset_spec,
    script:
        "../../scripts/fetch_dataset.py"
