# One table, from all scores or, where it tells of the perturbations themselves, from all perturbed records.
rule table:
    input:
        unpack(table_inputs),
    output:
        csv=report(
            "<results>/tables/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "format": "CSV"},
        ),
        md=report(
            "<results>/tables/{table}.md",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "format": "text"},
        ),
        tex="<results>/tables/{table}.tex",
        parquet="<results>/tables/{table}.parquet",
    log:
        "<results>/logs/table/{table}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        spec=table_spec,
        code=table_code,
    script:
        "../../scripts/table.py"
