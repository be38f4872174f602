# One labelled template -> features of all volumes -> labels by likeness -> rounds of training and refinement -> a package.
#
#   snakemake -s scripts/train/workflows/one_label.smk --cores 1 --config datalist=liqa.json template=1009-A-S1
#
# The datalist comes from scripts/import_dataset.py; of its labels only the template's are read. What was stopped
# resumes where it was; after a kill, unlock first (snakemake --unlock) and add --rerun-incomplete.
configfile: Path(workflow.basedir) / "one_label.yaml"
include: "common.smk"

OUTPUT = Path(config["output"])


rule all:
    input:
        OUTPUT / "model" / "model.json",
        *([OUTPUT / "evaluation" / "summary.csv"] if config["test"] else []),


rule first_labels:
    input:
        config["datalist"],
    output:
        OUTPUT / "round_0" / "labels" / "datalist.json",
    params:
        command=lambda wildcards, input, output: call(
            "first_labels", "first_labels",
            "--datalists", input[0],
            "--template", config["template"],
            "--organs", *config["organs"],
            "--encoder", config["encoder"],
            "--cache", OUTPUT / "cache",
            "--output", Path(output[0]).parent,
            *config["first_labels_flags"],
        ),
    shell:
        "{params.command}"


rule rounds:
    input:
        OUTPUT / "round_0" / "labels" / "datalist.json",
    output:
        OUTPUT / "model" / "model.json",
    params:
        command=lambda wildcards, input: call(
            "one_label", "one_label",
            "--run-folder", OUTPUT,
            "--data.datalists", input[0],
            "--data.organs", *config["organs"],
            "--data.cache", OUTPUT / "cache",
            "--specialist", config["specialist"],
            "--refinement.mode", config["refinement"],
            "--rounds", config["rounds"],
            *config["rounds_flags"],
        ),
    shell:
        "{params.command}"


rule evaluate:
    input:
        model=OUTPUT / "model" / "model.json",
        test=config["test"] or [],
    output:
        OUTPUT / "evaluation" / "summary.csv",
    params:
        command=lambda wildcards, input, output: call(
            "../evaluate_challenge", "evaluate",
            "--model", Path(input.model).parent,
            "--datalists", input.test,
            "--output", Path(output[0]).parent,
        ),
    shell:
        "{params.command}"
