# `--config bundle=FILE`: tables from a bundle of records, without the study's data, weights or cards. Nothing here makes a
# record, so nothing is computed again but the tables.
include: "bundle_inputs.smk"


pathvars:
    results=f"results/{BUNDLE.spec.study}",


wildcard_constraints:
    table="|".join(map(re.escape, TABLES)),


include: "table.smk"


localrules:
    all,
    table,


TARGETS = expand("<results>/tables/{table}.csv", table=REBUILT)
