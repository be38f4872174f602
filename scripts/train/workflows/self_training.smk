# A cohort without labels -> its labels by the model itself, where it is sure -> training on them and on synthetic images
# -> a package adapted to the cohort, after any number of rounds.
#
#   python scripts/import_dataset.py folder COHORT -o cohort.json
#   snakemake -s scripts/train/workflows/self_training.smk --cores 1 --config datalist=cohort.json
#
# What was stopped is resumed; after a kill, unlock first (snakemake --unlock) and add --rerun-incomplete.
configfile: Path(workflow.basedir) / "self_training.yaml"
include: "common.smk"

OUTPUT = Path(config["output"])
LAST = OUTPUT / f"round_{int(config['rounds'])}" / "model" / "model.json"


def teacher(number):
    """The model that labels in round `number`."""
    return config["model"] if number == 1 else OUTPUT / f"round_{number - 1}" / "model"


def teacher_file(wildcards):
    number = int(wildcards.round)
    return [] if number == 1 else [teacher(number) / "model.json"]


rule all:
    input:
        LAST,
        *([OUTPUT / "evaluation" / "summary.csv"] if config["test"] else []),


rule pseudo_label:
    input:
        config["datalist"],
        teacher_file,
    output:
        OUTPUT / "round_{round}" / "labels" / "datalist.json",
    params:
        command=lambda wildcards, input, output: call(
            "pseudo_label", "pseudo_label",
            "--models", teacher(int(wildcards.round)),
            "--datalists", input[0],
            "--gammas", *config["gammas"],
            "--certainty", config["certainty"],
            "--keep", config["keep"],
            "--output", Path(output[0]).parent,
            *config["label_flags"],
        ),
    shell:
        "{params.command}"


rule train:
    input:
        OUTPUT / "round_{round}" / "labels" / "datalist.json",
    output:
        OUTPUT / "round_{round}" / "model" / "model.json",
    params:
        command=lambda wildcards, input, output: call(
            "finetune", "self_training",
            "--run-folder", Path(output[0]).parents[1],
            "--data.datalists", input[0],
            "--data.cache", OUTPUT / "cache",
            "--start", teacher(int(wildcards.round)),
            *config["train_flags"],
        ),
    shell:
        "{params.command}"


rule evaluate:
    input:
        model=LAST,
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
