# The page that a person opens: all tables, all scores in sum, and pictures behind them.
rule page:
    input:
        unpack(page_inputs),
    output:
        index="<results>/index.html",
        folder=directory("<results>/page"),
    log:
        "<results>/logs/page.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        spec=page_spec,
        code=page_code,
    script:
        "../../scripts/page.py"
