# Weights from where a card says, or from a mirror. Weights that are there already are left as they are.
rule fetch_weights:
    output:
        "downloads/models/{weights}/.fetched.json",
    log:
        "<results>/logs/fetch_weights/{weights}.log",
    wildcard_constraints:
        weights="[^/]+",
    conda:
        "../../envs/environment.yaml"
    params:
        spec=fetch_weights_spec,
    script:
        "../../scripts/fetch_weights.py"
