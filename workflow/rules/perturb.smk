# Every image of the studied split at every level of one perturbation.
rule perturb:
    input:
        images="<results>/datasets/{dataset}/images.parquet",
        samples=true_labels,
    output:
        "<results>/perturbed/{dataset}/{perturbation}.parquet",
    log:
        "<results>/logs/perturb/{dataset}/{perturbation}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        spec=perturb_spec,
        code=perturb_code,
    script:
        "../../scripts/perturb.py"
