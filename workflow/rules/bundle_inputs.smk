# An unpacked bundle, and what its tables read.
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from medstress.errors import MedstressError
from medstress.exports.bundle import KINDS, unpack_bundle
from medstress.fingerprint import fingerprint
from medstress.tables.registry import TABLES


def unpacked():
    try:
        return unpack_bundle(Path(config["bundle"]), Path("results"))
    except MedstressError as error:
        raise WorkflowError(str(error))


BUNDLE = unpacked()
# Those of a later version are not known here, and a bundle has no images.
REBUILT = [
    name
    for name in BUNDLE.tables
    if name in TABLES and set(TABLES[name].reads) <= set(KINDS)
]


def table_inputs(wildcards):
    return {kind: BUNDLE.records(kind) for kind in TABLES[wildcards.table].reads}


def table_spec(wildcards):
    return BUNDLE.spec.model_dump_json()


def table_code(wildcards):
    return fingerprint("medstress.tables.write", TABLES[wildcards.table].module)
