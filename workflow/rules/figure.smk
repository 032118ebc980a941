# One figure, as vector graphics and as pixels.
rule figure:
    input:
        unpack(figure_inputs),
    output:
        svg="<results>/figures/{figure}.svg",
        png=report(
            "<results>/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        "<results>/logs/figure/{figure}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        spec=table_spec,
        code=figure_code,
    script:
        "../../scripts/figure.py"
